//! Tools of servers, which are Perl or the servers themselves, beside what they say and do over an equal directory (lighttpd 1.4.69,
//! Icinga 2.13.6, shadow 4.13).

use super::*;

const SETUP: &str = "
mkdir -p /etc/lighttpd/conf-available /etc/lighttpd/conf-enabled /etc/icinga2/features-available /etc/icinga2/features-enabled
cd /etc/lighttpd/conf-available
touch 10-cgi.conf 99-unconfigured.conf README
echo '# -*- depends: fastcgi -*-' >15-fastcgi-php.conf; echo '# -*- conflicts: cgi -*-' >10-fastcgi.conf
echo '# -*- depends: none -*-' >20-odd.conf
touch /etc/icinga2/features-available/checker.conf /etc/icinga2/features-available/mainlog.conf
";
const LAST: &str = "Run \"service lighttpd force-reload\" to enable changes\n";

#[test]
fn what_is_switched_is_linked_with_what_it_needs() {
    for (text, status, output) in [
        ("lighty-enable-mod unconfigured", 0, format!("Enabling unconfigured: ok\n{LAST}")),
        (
            "lighty-enable-mod fastcgi-php; cd /etc/lighttpd/conf-enabled; ls; readlink 15-fastcgi-php.conf",
            0,
            format!(
                "Met dependency: fastcgi\nEnabling fastcgi-php: ok\nEnabling fastcgi: ok\n{LAST}10-fastcgi.conf\n\
                 15-fastcgi-php.conf\n../conf-available/15-fastcgi-php.conf\n"
            ),
        ),
        ("lighty-enable-mod cgi >/dev/null; lighty-enable-mod cgi", 2, format!("already enabled\n{LAST}")),
        ("lighty-enable-mod nothing", 2, format!("Ignoring unknown module: nothing\n{LAST}")),
        ("lighty-enable-mod odd", 1, "Unresolved dependency: none\n".into()),
        (
            "lighty-enable-mod cgi >/dev/null; lighty-enable-mod fastcgi",
            1,
            "Conflicting dependencies: fastcgi conflicts with cgi\n".into(),
        ),
        (
            "lighty-enable-mod fastcgi-php >/dev/null; lighty-disable-mod fastcgi; ls /etc/lighttpd/conf-enabled; \
             lighty-disable-mod cgi",
            2,
            format!(
                "Disabling fastcgi\nReverse dependency met: Disabling fastcgi-php too\nDisabling fastcgi-php\n{LAST}\
                 Already disabled cgi\n{LAST}"
            ),
        ),
        (
            "icinga2 feature enable checker mainlog; icinga2 feature enable checker; readlink /etc/icinga2/features-enabled/*",
            0,
            "Enabling feature checker. Make sure to restart Icinga 2 for these changes to take effect.\n\
             Enabling feature mainlog. Make sure to restart Icinga 2 for these changes to take effect.\n\
             ../features-available/checker.conf\n../features-available/mainlog.conf\n"
                .into(),
        ),
        ("icinga2 feature enable nothing", 1, String::new()),
        (
            "icinga2 feature enable checker >/dev/null; icinga2 feature disable checker >/dev/null; ls /etc/icinga2/features-enabled",
            0,
            String::new(),
        ),
        ("mono --version | grep Architecture | sed 's/.*:  //'", 0, "amd64\n".into()),
        ("/usr/lib/nagios/plugins/check_nagios a 5 b >/dev/null || echo $?", 0, "127\n".into()),
        (
            "adduser --system --quiet x && usermod -U -e '' x && getent passwd x | cut -d: -f1",
            0,
            "x\n".into(),
        ),
    ] {
        let outcome = ours(&format!("{SETUP}{text}")).0.unwrap();
        let said = String::from_utf8_lossy(&outcome.output).into_owned();
        assert_eq!((outcome.status, said.as_str()), (status, output.as_str()), "{text}");
    }
}

#[test]
fn what_else_they_do_is_refused() {
    for (text, command, what) in [
        ("lighty-enable-mod", "lighty-enable-mod", "asked on a terminal"),
        ("icinga2 daemon -C", "icinga2 daemon -C", "this use of icinga2 is not known"),
        ("icinga2 feature enable", "icinga2 feature enable", "not said"),
        ("mono /usr/lib/x.exe", "mono /usr/lib/x.exe", "a program of Mono"),
        ("usermod -e 2030-01-01 root", "usermod -e 2030-01-01 root", "not known"),
        ("usermod -p '' root", "usermod -p '' root", "not known"),
    ] {
        let fault = ours(&format!("{SETUP}{text}")).0.unwrap_err();
        assert!(fault.what.contains(what) && fault.command == command, "{text}: {fault:?}");
    }
}

// The first line is that of `perl` for the same module.
#[test]
fn a_module_of_perl_tells_its_version() {
    let set = |text: &str| {
        format!(
            "mkdir -p /usr/share/perl5/Mail; printf '%s\\n' {text} >/usr/share/perl5/Mail/X.pm\nperl -MMail::X -e "
        )
    };
    let good = set(r#"'package Mail::X;' 'our $VERSION = "4.000001";      # update' '1;'"#);
    for program in
        ["'print(\"$Mail::X::VERSION\");'", "'print $Mail::X::VERSION'", "'print \"$Mail::X::VERSION\";'"]
    {
        let outcome = ours(&format!("{good}{program}")).0.unwrap();
        assert_eq!(String::from_utf8_lossy(&outcome.output), "4.000001", "{program}");
    }
    for odd in
        ["'our $VERSION = 1.10;'", "'$VERSION = \"1\";' '$VERSION = \"2\";'", "'our $VERSION = \"1\" . 2;'"]
    {
        let fault = ours(&format!("{}'print $Mail::X::VERSION'", set(odd))).0.unwrap_err();
        assert_eq!(fault.what, "the version of this module is not known", "{odd}");
    }
    assert!(ours(&format!("{good}'print $Mail::Y::VERSION'")).0.is_err());
}

/// What is larger than any script is a program, and is not read for that.
#[test]
fn large_programs_are_told_as_such() {
    let text = "mkdir -p /usr/bin; printf '%2000000s' x >/usr/bin/big; chmod +x /usr/bin/big; big --version";
    let fault = ours(text).0.unwrap_err();
    assert_eq!(fault.what, "this command is not known, and what lies there is no shell script");
}

/// The command that failed is told with the status that a script ends with.
#[test]
fn the_failing_command_is_told() {
    for (text, command) in [
        ("set -e\nfalse x", "false x"),
        ("set -e\nf() { grep -q nothing a.txt; }\nf", "grep -q nothing a.txt"),
        ("true\nexit 3", "exit 3"),
        ("false; true", ""),
    ] {
        assert_eq!(ours(text).0.unwrap().command, command, "{text}");
    }
}
