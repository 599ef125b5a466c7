//! What steps see of the environment.

use std::collections::BTreeSet;

use crate::support::{Project, assert_success, run};

#[tokio::test]
async fn steps_see_the_documented_variables_and_nothing_else() {
    let project = Project::with_steps(
        "step('names', async (ctx) => (await ctx.$`env -0 | cut -z -d= -f1 | tr '\\\\0' '\\\\n'`).stdout.trim().split('\\n'))",
    );
    let mut spec = project.spec();
    spec.env.insert("MYVAR".to_owned(), "mine".to_owned());
    spec.env.insert("CI".to_owned(), "own".to_owned());
    spec.secrets.insert("TOKEN".to_owned(), "hunter2secret".to_owned());
    let ran = run(spec).await;
    assert_success(&ran);
    let names: BTreeSet<&str> = ran.result.outputs["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let mut expected: BTreeSet<&str> = [
        "CI",
        "FORCE_COLOR",
        "KICI_ENV",
        "KICI_JOB_NAME",
        "KICI_PATH",
        "KICI_REF",
        "KICI_RUN_ID",
        "KICI_SHA",
        "MYVAR",
    ]
    .into();
    // Of the machine, as far as it is set here.
    let host =
        ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TERM", "TMPDIR", "NODE_PATH", "TZ"];
    expected.extend(host.into_iter().filter(|name| std::env::var_os(name).is_some()));
    // Made by the shell itself.
    expected.extend(["PWD", "SHLVL", "_"]);
    assert_eq!(names, expected);
}

#[tokio::test]
async fn changes_reach_later_steps() {
    let project = Project::with_steps(
        "step('zero', async (ctx) => {
           await ctx.$`echo FOO=bar=baz >> $KICI_ENV; echo TOKEN=stolen >> $KICI_ENV; printf '/p1\\\\n/p2\\\\n' >> $KICI_PATH`;
           return { foo: (await ctx.$`echo \"\\${FOO:-unset}\"`).stdout.trim() };
         }),
         step('one', async (ctx) => {
           ctx.setEnv('NOW', 'yes'); ctx.addPath('/p3');
           return { now: (await ctx.$`echo $NOW $FOO`).stdout.trim(), js: process.env.NOW };
         }),
         step('two', async (ctx) => ({ path: (await ctx.$`echo $PATH`).stdout.trim(), now: ctx.env.NOW, foo: ctx.env.FOO }))",
    );
    let mut spec = project.spec();
    spec.secrets.insert("TOKEN".to_owned(), "hunter2secret".to_owned());
    let ran = run(spec).await;
    assert_success(&ran);
    let outputs = &ran.result.outputs;
    assert_eq!(outputs["zero"]["foo"], "unset");
    assert_eq!(outputs["one"]["now"], "yes bar=baz");
    assert_eq!(outputs["one"]["js"], "yes");
    assert_eq!(outputs["two"]["now"], "yes");
    assert_eq!(outputs["two"]["foo"], "bar=baz");
    assert!(outputs["two"]["path"].as_str().unwrap().starts_with("/p3:/p1:/p2:"), "{outputs:?}");
    assert!(ran.log(0).iter().any(|line| line.contains("TOKEN is reserved or names a secret")));
}
