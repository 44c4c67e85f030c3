//! Apache's tools, which are Perl, beside what they say and do over an equal directory (Debian's apache2 2.4.66).

use super::*;

const SETUP: &str = "
mkdir -p /var/lib/apache2; for d in mods sites conf; do mkdir -p /etc/apache2/$d-available /etc/apache2/$d-enabled; done
cd /etc/apache2/mods-available
for m in event prefork worker; do touch mpm_$m.conf; done
echo '# Conflicts: mpm_worker mpm_prefork' >mpm_event.load
echo '# Conflicts: mpm_event mpm_worker' >mpm_prefork.load
touch mpm_worker.load authn_core.load; echo '# Depends: authn_core' | tee auth_basic.load >auth_digest.load
touch ../conf-available/security.conf ../sites-available/000-default.conf
";

#[test]
fn modules_sites_and_configurations_are_linked_with_what_they_need() {
    for (text, status, output) in [
        ("a2enmod -m -q mpm_event", 0, "Enabling module mpm_event.\n"),
        ("a2enmod -m -q auth_basic", 0, "Enabling module authn_core.\nEnabling module auth_basic.\n"),
        (
            "a2enmod -q auth_basic >/dev/null; a2enmod auth_digest",
            0,
            "Considering dependency authn_core for auth_digest:\nModule authn_core already enabled\n\
             Enabling module auth_digest.\nTo activate the new configuration, you need to run:\n  service apache2 restart\n",
        ),
        (
            "a2enmod -q mpm_event >/dev/null; a2enmod mpm_prefork",
            1,
            "Considering conflict mpm_event for mpm_prefork:\nConsidering conflict mpm_worker for mpm_prefork:\n",
        ),
        (
            "a2enmod -m -q mpm_event auth_basic >/dev/null; a2query -m mpm_event; a2query -M; a2query -m",
            0,
            "mpm_event (enabled by maintainer script)\nevent\nauth_basic (enabled by maintainer script)\n\
             authn_core (enabled by maintainer script)\nmpm_event (enabled by maintainer script)\n",
        ),
        ("a2query -m none", 1, ""),
        (
            "a2enmod -q mpm_event >/dev/null; a2dismod -m -q mpm_event; a2query -m mpm_event",
            33,
            "Module mpm_event disabled.\n",
        ),
        (
            "a2enmod -q mpm_event >/dev/null; a2dismod -q mpm_event; a2query -m mpm_event",
            32,
            "Module mpm_event disabled.\n",
        ),
        ("a2enmod -q auth_basic >/dev/null; a2dismod -q authn_core", 1, ""),
        (
            "a2enmod -q auth_basic >/dev/null; a2dismod -f -q authn_core",
            0,
            "Module auth_basic disabled.\nModule authn_core disabled.\n",
        ),
        (
            "a2enconf -q security; a2ensite -q 000-default; a2query -s; a2query -c security; a2disconf -m -q security; a2query -q -c security",
            33,
            "Enabling conf security.\nEnabling site 000-default.\n000-default (enabled by site administrator)\n\
             security (enabled by site administrator)\nConf security disabled.\n",
        ),
        ("a2enmod -q nothing", 1, ""),
        (
            "a2enmod -m -q mpm_event >/dev/null; a2dismod -q mpm_event >/dev/null; a2enmod -m -q mpm_prefork >/dev/null; \
             cd /; find etc/apache2 -type l -printf '%p '; find var/lib/apache2 -type f; readlink /etc/apache2/mods-enabled/*",
            0,
            "etc/apache2/mods-enabled/mpm_prefork.conf etc/apache2/mods-enabled/mpm_prefork.load \
             var/lib/apache2/module/disabled_by_admin/mpm_event\nvar/lib/apache2/module/enabled_by_maint/mpm_prefork\n\
             ../mods-available/mpm_prefork.conf\n../mods-available/mpm_prefork.load\n",
        ),
    ] {
        let outcome = ours(&format!("{SETUP}{text}")).0.unwrap();
        let said = String::from_utf8_lossy(&outcome.output).into_owned();
        assert_eq!((outcome.status, said.as_str()), (status, output), "{text}");
    }
}

#[test]
fn modules_that_need_one_another_end() {
    let text = "cd /etc/apache2/mods-available; echo '# Depends: b' >a.load; echo '# Depends: a' >b.load; a2enmod -q a";
    let fault = ours(&format!("{SETUP}{text}")).0.unwrap_err();
    assert_eq!(fault.what, "these modules need one another");
}
