//! Objects of Kubernetes, and policies that are asked about them.

use pinfold_engine::verify::secrets;
use pinfold_kube::judge::Document;
use pinfold_kube::judge::Judging;
use pinfold_kube::judge::Nodes;
use pinfold_kube::judge::judge;
use pinfold_kube::judge::kustomization;

/// What parts objects from policies in the input.
const BETWEEN: &[u8] = b"\n=== policies\n";

/// Any bytes as objects, and what stands behind a line of [`BETWEEN`] as policies: they are judged, twice the same, and every finding
/// is one line that has a rule.
pub fn kube_judge(bytes: &[u8]) {
    let at = bytes.windows(BETWEEN.len()).position(|part| part == BETWEEN);
    let (objects, policies) = match at {
        Some(at) => (&bytes[..at], vec![document("policies.yaml", &bytes[at + BETWEEN.len()..])]),
        None => (bytes, Vec::new()),
    };
    let documents = [document("objects.yaml", objects)];
    let judging = Judging { nodes: Nodes::Gke, policies, ..Judging::new(secrets::spotted) };
    let report = judge(&documents, &judging);
    for finding in &report.findings {
        assert!(!finding.rule.is_empty() && !finding.message.is_empty(), "{finding:?}");
        for text in [&finding.object, &finding.path, &finding.rule, &finding.message] {
            assert!(!text.contains(|c: char| c.is_control()), "{finding:?}");
        }
    }
    assert_eq!(judge(&documents, &judging), report);
    let _ = kustomization(&documents[0]);
}

fn document(file: &str, text: &[u8]) -> Document {
    Document { file: file.to_owned(), text: text.to_owned() }
}
