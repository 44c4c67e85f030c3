//! What judging a thousand objects costs, beside PyPI's kubernetes-validate, which looks at schemas alone.

use std::path::Path;

use fs_err as fs;

use super::BenchArgs;
use super::Row;
use super::command;
use super::line;
use super::measure;
use crate::say;

/// Objects.
const COUNT: usize = 1000;
/// Seconds to reach.
const GOAL: f64 = 1.0;

/// One pod of an agent as YAML, with the parts that an export has.
fn pod(index: usize) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: agent-{index}\n  namespace: pinfold\n  labels:\n    app.kubernetes.io/managed-by: pinfold\n    \
         app.kubernetes.io/name: pinfold-sandbox\n    app.kubernetes.io/instance: agent-{index}\nspec:\n  serviceAccountName: pinfold-sandbox\n  \
         automountServiceAccountToken: false\n  enableServiceLinks: false\n  runtimeClassName: gvisor\n  restartPolicy: Never\n  activeDeadlineSeconds: 28800\n  \
         dnsPolicy: None\n  dnsConfig:\n    nameservers:\n    - 127.0.0.1\n  securityContext:\n    runAsNonRoot: true\n    runAsUser: 1000\n    fsGroup: 1000\n    \
         seccompProfile:\n      type: RuntimeDefault\n"
    );
    for (list, name, word) in [("initContainers", "home", "seed"), ("containers", "agent", "run")] {
        text.push_str(&format!(
            "  {list}:\n  - name: {name}\n    image: registry.example/agent@sha256:{index:064x}\n    imagePullPolicy: IfNotPresent\n    command:\n    \
             - /usr/local/libexec/pinfold/pinfold\n    - pod\n    - {word}\n    resources:\n      limits:\n        cpu: \"2\"\n        memory: 4Gi\n      \
             requests:\n        cpu: 250m\n        memory: 1Gi\n    securityContext:\n      allowPrivilegeEscalation: false\n      privileged: false\n      \
             readOnlyRootFilesystem: true\n      runAsNonRoot: true\n      capabilities:\n        drop:\n        - ALL\n      seccompProfile:\n        \
             type: RuntimeDefault\n    env:\n"
        ));
        for number in 0..10 {
            text.push_str(&format!(
                "    - name: VARIABLE_{number}\n      value: what it is set to, {number}\n"
            ));
        }
        text.push_str("    volumeMounts:\n");
        for volume in VOLUMES {
            text.push_str(&format!("    - name: {volume}\n      mountPath: /run/{volume}\n"));
        }
    }
    text.push_str("  volumes:\n");
    for volume in VOLUMES {
        text.push_str(&format!("  - name: {volume}\n    emptyDir:\n      sizeLimit: 4Gi\n"));
    }
    text
}

const VOLUMES: [&str; 6] = ["home", "tmp", "workspace", "data", "run", "token"];

/// What all of them need beside themselves.
const AROUND: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: nothing\n  namespace: pinfold\nspec:\n  podSelector: {}\n  \
    policyTypes:\n  - Ingress\n  - Egress\n";

/// Measures `kube --check`, and the peer where `--peers` asks for it.
pub(super) fn rows(args: &BenchArgs, folder: &Path, pinfold: &str) -> Result<Vec<Row>, String> {
    let objects: Vec<String> = std::iter::once(AROUND.to_owned()).chain((1..COUNT).map(pod)).collect();
    let file = folder.join("objects.yaml");
    let text = objects.join("---\n");
    fs::write(&file, &text).map_err(|error| error.to_string())?;
    let file = file.display().to_string();
    let mut rows = Vec::new();
    let mut add = |name: &str, words: &[&str], target: Option<f64>| -> Result<(), String> {
        let mut costs = Vec::new();
        for _ in 0..args.runs.max(1) {
            costs.push(measure(folder, &[], words)?);
        }
        costs.sort_by(|one, other| one.wall.total_cmp(&other.wall));
        let cost = costs[costs.len() / 2];
        let note = format!("{COUNT} objects, {} KiB; all rules", text.len() >> 10);
        let row =
            Row { name: name.to_owned(), cpu: cost.cpu, wall: cost.wall, peak: cost.peak, note, target };
        say(&line(&row));
        rows.push(row);
        Ok(())
    };
    add("kube --check", &[pinfold, "kube", "--check", &file, "--quiet"], Some(GOAL))?;
    if args.peers {
        let venv = folder.join("kubernetes-validate");
        let python = venv.join("bin/python").display().to_string();
        if !venv.join("bin/python").exists() {
            let made = command("python3").args(["-m", "venv"]).arg(&venv).status();
            let got = made.is_ok_and(|status| status.success())
                && command(&python)
                    .args(["-m", "pip", "install", "--quiet", "kubernetes-validate==1.37.0"])
                    .status()
                    .is_ok_and(|status| status.success());
            if !got {
                say("peer: kubernetes-validate cannot be installed");
                return Ok(rows);
            }
        }
        let script = crate::root().join("tests/e2e/kube-judge.py").display().to_string();
        add(
            "peer: kubernetes-validate, schemas of one version",
            &[&python, &script, "peer", &file, "1.37"],
            None,
        )?;
    }
    Ok(rows)
}
