//! Rows are functions of what they see; that each can fail is shown by the suite that weakens a sandbox. Here: their form.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_are_there_once_and_verdicts_add_up() {
    let names: BTreeSet<&str> = ROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), ROWS.len());
    assert_eq!(ROWS.map(|(name, _)| name), pinfold_queue::probes::ROWS);
    let (pass, fail, gap) = (Pass("a".into()), Fail("b".into()), Gap("c".into()));
    assert_eq!(all([pass.clone(), gap.clone(), fail.clone()]), fail);
    assert_eq!(all([gap.clone(), pass.clone()]), pass);
    assert_eq!(all([gap.clone()]), gap);
    assert_eq!(refused("x", Ok(())), Fail("x works".into()));
}

/// This process is in no sandbox: rows that ask for walls must see that there are none.
#[test]
fn without_a_sandbox_rows_fail() {
    let words: Vec<String> =
        ["--id", "w", "--provider", "gemini", "--model", "m", "--route", "r"].map(str::to_owned).to_vec();
    let args = crate::args::parse(&words).unwrap();
    let mut pulse = Pulse::new().unwrap();
    let asked = json!({
        "names": ["process.others-hidden", "process.filter", "mounts.only-those", "host.paths-absent", "queue.out-no-device"],
        "mounts": ["/nowhere"], "absent": ["/proc/self/exe"]
    });
    let result = run(&asked, &args, &mut pulse);
    let rows = result["probes"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        assert_eq!(row["verdict"], "fail", "{row}");
    }
}
