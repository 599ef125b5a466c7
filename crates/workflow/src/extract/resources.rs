//! `resources`: processor and memory within bounds, requests not above limits.

use kici_model::lock::{Quantities, ResourceRequest};
use serde_json::Value;

const MAX_CPUS: f64 = 256.0;

/// Reads and checks `resources`.
pub(super) fn resources(value: &Value) -> Result<ResourceRequest, String> {
    let object = value.as_object().ok_or("must be {requests?, limits?}")?;
    if let Some(key) = object.keys().find(|key| !matches!(key.as_str(), "requests" | "limits")) {
        return Err(format!(
            "has no field `{key}`; write {{ requests: {{ cpus: 2, memory: '4g' }} }}"
        ));
    }
    for (side, amounts) in object {
        let amounts = amounts.as_object().ok_or(format!("`{side}` must be {{cpus?, memory?}}"))?;
        if let Some(key) = amounts.keys().find(|key| !matches!(key.as_str(), "cpus" | "memory")) {
            return Err(format!("`{side}` has no field `{key}`; there are cpus and memory"));
        }
    }
    let request: ResourceRequest =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    for amounts in [&request.requests, &request.limits].into_iter().flatten() {
        check(amounts)?;
    }
    if let (Some(requests), Some(limits)) = (&request.requests, &request.limits) {
        let memory = |amounts: &Quantities| amounts.memory.as_deref().and_then(bytes);
        let above = |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| a > b);
        if above(requests.cpus.map(|n| n.0), limits.cpus.map(|n| n.0))
            || above(memory(requests), memory(limits))
        {
            return Err("requests more than its limit".to_owned());
        }
    }
    Ok(request)
}

fn check(amounts: &Quantities) -> Result<(), String> {
    if let Some(cpus) = amounts.cpus
        && !(cpus.0 > 0.0 && cpus.0 <= MAX_CPUS)
    {
        return Err(format!("`cpus` is {cpus}; it must be above 0 and at most {MAX_CPUS}"));
    }
    match amounts.memory.as_deref() {
        Some(memory) if bytes(memory).is_none() => {
            Err(format!("`memory` is '{memory}'; write a number with k, m or g, such as '512m'"))
        }
        _ => Ok(()),
    }
}

/// A number, an optional space and `k`, `m` or `g` (powers of 1024).
fn bytes(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor: f64 = match unit {
        "k" | "K" => 1024.0,
        "m" | "M" => 1024.0 * 1024.0,
        "g" | "G" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number = number.strip_suffix(' ').unwrap_or(number);
    let plain =
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| number.parse::<f64>().ok()).flatten().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::resources;

    #[test]
    fn bounds_units_and_unknown_fields() {
        for good in [
            json!({"requests": {"cpus": 0.5, "memory": "512m"}}),
            json!({"requests": {"cpus": 2}, "limits": {"cpus": 256, "memory": "1.5 G"}}),
        ] {
            assert!(resources(&good).is_ok(), "{good}");
        }
        for (bad, why) in [
            (json!({"memory": "1g"}), "no field `memory`"),
            (json!({"limits": {"gpu": 1}}), "no field `gpu`"),
            (json!({"limits": {"cpus": 0}}), "above 0"),
            (json!({"limits": {"cpus": 257}}), "at most 256"),
            (json!({"limits": {"memory": "1Gi"}}), "'1Gi'"),
            (json!({"limits": {"memory": "g"}}), "'g'"),
            (
                json!({"requests": {"memory": "2g"}, "limits": {"memory": "1g"}}),
                "more than its limit",
            ),
        ] {
            let error = resources(&bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
