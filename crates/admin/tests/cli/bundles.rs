//! Log bundles of the fleet.

use std::os::unix::fs::PermissionsExt as _;

use crate::setup::World;

#[test]
fn a_bundle_is_written_once_and_can_be_looked_into() {
    let world = World::start();
    let list = world.json(&["debug-bundle", "--fleet", "--list"]);
    assert_eq!(list["nodes"][0]["kind"], "orchestrator");
    assert!(world.ok(&["debug-bundle", "--fleet", "--list"]).contains("orchestrator"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.zip");
    let file = path.to_str().unwrap();
    let said = world.ok(&["debug-bundle", "--fleet", "-o", file]);
    assert!(said.ends_with(&format!("Written to {file}\n")), "{said}");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let seen = world.json(&["inspect-bundle", file]);
    assert_eq!(seen["manifest"]["nodes"][0]["status"], "ok");
    assert_eq!(seen["files"][0]["name"], "local/bundle.zip");
    assert!(world.ok(&["inspect-bundle", file]).contains("fleet-manifest.json"));

    let again = world.fails(&["debug-bundle", "--fleet", "-o", file]);
    assert!(again.contains("could not make") && again.contains("File exists"), "{again}");
    let other = folder.path().join("c.zip");
    let refused =
        world.fails(&["debug-bundle", "--fleet", "--pick", "x-*", "-o", other.to_str().unwrap()]);
    assert!(refused.contains("selector \"x-*\" matches no agent"), "{refused}");
    assert!(!other.exists(), "nothing is left of a bundle that was refused");

    std::fs::write(&other, "no ZIP").unwrap();
    let bad = world.fails(&["inspect-bundle", other.to_str().unwrap()]);
    assert!(bad.contains("is no readable bundle"), "{bad}");
}
