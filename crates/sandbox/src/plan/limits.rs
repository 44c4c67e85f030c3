//! Which limits: of the whole sandbox by cgroups where they are delegated, of each process by rlimits always.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::plan::refusal::Refusal;
use crate::plan::wall::Standing;
use crate::plan::wall::Wall;
use crate::probe::Cgroups;
use crate::probe::Probe;
use crate::spec::Limits;
use crate::spec::Need;
use crate::spec::Spec;

/// A limit of each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Of what.
    pub resource: Limited,
    /// Soft and hard limit.
    pub value: u64,
}

/// What a process limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limited {
    /// Bytes of a core file.
    Core,
    /// Open files.
    Files,
    /// Processes and threads of the user in this namespace. Not enforced for the host's root.
    Processes,
}

impl Limited {
    /// As the OCI runtime specification spells it.
    pub(crate) const fn posix(self) -> &'static str {
        match self {
            Self::Core => "RLIMIT_CORE",
            Self::Files => "RLIMIT_NOFILE",
            Self::Processes => "RLIMIT_NPROC",
        }
    }
}

pub(crate) fn plan_rlimits(limits: &Limits) -> Vec<Rlimit> {
    let mut planned = vec![Rlimit { resource: Limited::Core, value: 0 }];
    planned.extend(limits.open_files.map(|value| Rlimit { resource: Limited::Files, value }));
    planned
        .extend(limits.processes.map(|value| Rlimit { resource: Limited::Processes, value: value.into() }));
    planned
}

/// Limits of the whole sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// The groups to make: one, or one per hierarchy of version 1.
    pub groups: Vec<Group>,
}

/// One group and the values to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its directory.
    pub path: PathBuf,
    /// File name and value. A file that does not exist is passed over when its name ends in `swap.max` or
    /// `memsw.limit_in_bytes`: swap accounting is a boot option.
    pub values: Vec<(String, String)>,
}

const PERIOD: u64 = 100_000;

pub(crate) fn plan_cgroup(
    spec: &Spec,
    probe: &Probe,
    walls: &mut Vec<Standing>,
) -> Result<Option<CgroupPlan>, Refusal> {
    walls.push(Standing::on(Wall::ProcessLimits));
    if spec.policy.cgroup == Need::Off {
        walls.push(Standing::off(Wall::Cgroup, "switched off by the policy"));
        return Ok(None);
    }
    let limits = &spec.limits;
    let name = format!("pinfold-{}", spec.name);
    let quota = |milli: u32| u64::from(milli) * PERIOD / 1000;
    let text = |name: &str, value: u64| (name.to_owned(), value.to_string());
    let groups = match &probe.cgroups {
        Cgroups::None(why) if spec.policy.cgroup == Need::Required => {
            return Err(Refusal::NoCgroup(why.clone()));
        }
        Cgroups::None(why) => {
            walls.push(Standing::off(Wall::Cgroup, why.clone()));
            return Ok(None);
        }
        Cgroups::V2(dir) => {
            let mut values = Vec::new();
            if let Some(bytes) = limits.memory {
                values.push(text("memory.max", bytes));
                values.push(text("memory.swap.max", 0));
            }
            values.extend(limits.processes.map(|count| text("pids.max", count.into())));
            values.extend(
                limits.cpu_milli.map(|milli| ("cpu.max".to_owned(), format!("{} {PERIOD}", quota(milli)))),
            );
            vec![Group { path: dir.join(&name), values }]
        }
        Cgroups::V1 { memory, pids, cpu } => {
            let mut groups = Vec::new();
            let bytes = limits.memory.map_or(Vec::new(), |bytes| {
                vec![text("memory.limit_in_bytes", bytes), text("memory.memsw.limit_in_bytes", bytes)]
            });
            groups.push(Group { path: memory.join(&name), values: bytes });
            let count = limits.processes.map(|count| text("pids.max", count.into()));
            groups.push(Group { path: pids.join(&name), values: count.into_iter().collect() });
            if let (Some(cpu), Some(milli)) = (cpu, limits.cpu_milli) {
                let values = vec![text("cpu.cfs_period_us", PERIOD), text("cpu.cfs_quota_us", quota(milli))];
                groups.push(Group { path: cpu.join(&name), values });
            }
            groups
        }
    };
    walls.push(Standing::graded(Wall::Cgroup, if groups.len() == 1 { "version 2" } else { "version 1" }));
    Ok(Some(CgroupPlan { groups }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::spec::Spec;

    fn spec() -> Spec {
        let mut spec = Spec::new("a", "/r", vec!["true".into()]);
        spec.limits.memory = Some(64 << 20);
        spec.limits.cpu_milli = Some(1500);
        spec
    }

    fn probe(cgroups: Cgroups) -> Probe {
        Probe {
            kernel: String::new(),
            uid: 1,
            gid: 1,
            user_namespaces: Ok(()),
            landlock_abi: Some(1),
            cgroups,
            tun: false,
        }
    }

    #[test]
    fn version_2_has_one_group() {
        let plan = plan_cgroup(&spec(), &probe(Cgroups::V2("/c".into())), &mut Vec::new()).unwrap().unwrap();
        assert_eq!(plan.groups[0].path, Path::new("/c/pinfold-a"));
        let values: Vec<_> =
            plan.groups[0].values.iter().map(|(file, value)| format!("{file}={value}")).collect();
        assert_eq!(
            values,
            ["memory.max=67108864", "memory.swap.max=0", "pids.max=4096", "cpu.max=150000 100000"]
        );
    }

    #[test]
    fn a_required_cgroup_that_is_missing_is_a_refusal() {
        let mut spec = spec();
        let probe = probe(Cgroups::None("no".into()));
        assert_eq!(plan_cgroup(&spec, &probe, &mut Vec::new()).unwrap(), None);
        spec.policy.cgroup = Need::Required;
        assert!(matches!(plan_cgroup(&spec, &probe, &mut Vec::new()), Err(Refusal::NoCgroup(_))));
    }

    #[test]
    fn core_files_are_always_forbidden() {
        let planned = plan_rlimits(&Limits { open_files: None, processes: None, ..Limits::default() });
        assert_eq!(planned, [Rlimit { resource: Limited::Core, value: 0 }]);
    }
}
