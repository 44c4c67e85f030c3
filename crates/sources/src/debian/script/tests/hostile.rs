//! What a hostile script gets: an error that says which line and which command, as long as the fuel lasts and no longer.
//!
//! Time is not measured here: what a script can do is bounded by its fuel, and the shell has no way around it. So each of these
//! ends with little fuel as with much.

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::tree::InlineOnly;
use pinfold_base::Arch;
use pinfold_base::ImagePath;

use super::super::Fault;
use super::super::Outcome;
use super::super::Script;
use super::super::evaluate;
use super::super::on_a_deep_stack;
use super::super::world::Fuel;
use super::super::world::World;
use crate::accounts::Accounts;

/// A small part of what a script has.
const LITTLE: u64 = 20 << 20;
const FUEL: &str = "more than one script may use";
const DEEP: &str = "nested too deeply";

fn evaluated(text: &[u8], tree: Tree, fuel: u64) -> Result<Outcome, Fault> {
    on_a_deep_stack(|| {
        let mut world = World::new(tree, Accounts::minimal(), Arch::Amd64, 0, &InlineOnly);
        world.fuel = Fuel::of(fuel);
        let script =
            Script { package: "p", name: "postinst", text, args: &["configure", ""], environment: &[] };
        evaluate(&script, &mut world)
    })
    .unwrap()
}

/// A tree with a script that calls itself, links in a circle and many files.
fn tree() -> Tree {
    let owner = Component::generated("test");
    let mut tree = Tree::new();
    for name in ["", "usr", "usr/bin", "etc", "d", "tmp"] {
        tree.insert(ImagePath::new(name).unwrap(), Node::directory(&owner, Metadata::root(0o755, 0)));
    }
    for (name, text) in [
        ("usr/bin/again", "#!/bin/sh\nagain \"$@\"\n".to_owned()),
        ("etc/self", ". /etc/self\n".to_owned()),
        ("etc/long", "x ".repeat(100_000)),
        ("etc/binary", "\u{7f}ELF\u{2}\0\u{1}\n".to_owned()),
    ] {
        let node = Node::file(&owner, Metadata::root(0o755, 0), Content::inline(text.as_bytes()));
        tree.insert(ImagePath::new(name).unwrap(), node);
    }
    tree.insert(ImagePath::new("etc/loop").unwrap(), Node::symlink(&owner, 0, "loop"));
    for index in 0..1_000 {
        let node = Node::file(&owner, Metadata::root(0o644, 0), Content::inline(&b""[..]));
        tree.insert(ImagePath::new(format!("d/{index:04}{}", "a".repeat(100))).unwrap(), node);
    }
    tree
}

#[test]
fn a_script_without_an_end_is_ended_where_it_is() {
    for (text, line) in [
        ("\nwhile :; do :; done", 2),
        ("until false\ndo x=1; done", 2),
        ("while :; do continue; done", 1),
        ("x=x\nwhile :; do x=\"$x$x\"; done", 2),
        ("x=x; while :; do x=$x$x; done", 1),
        ("set -- a; while :; do set -- \"$@\" \"$@\"; done", 1),
        ("set -- a; while :; do set -- $* $*; done", 1),
        ("while :; do echo y; done", 1),
        ("while :; do echo y >> /etc/f; done", 1),
        ("exec 3> /etc/f; while :; do echo y >&3; done", 1),
        ("while :; do : > /etc/f; done", 1),
        ("i=0; while :; do i=$((i+1)); : > /tmp/$i; done", 1),
        ("i=0; while :; do i=$((i+1)); eval v$i=1; done", 1),
        ("i=0; while :; do i=$((i+1)); eval \"f$i() { :; }\"; done", 1),
        ("e='echo a;'; while :; do e=\"$e$e\"; eval \"$e\"; done", 1),
        ("while :; do eval 'if true; then :; fi'; done", 1),
        ("while :; do printf '%1000s'; done", 1),
        ("while :; do x=$(echo a); done", 1),
        ("while :; do (:); done", 1),
        ("while :; do : | : | :; done", 1),
        ("while :; do . /etc/long; done", 1),
        ("while :; do read x < /etc/long; done", 1),
        ("while read x; do :; done < /etc/long; while :; do for i in /d/*; do :; done; done", 1),
        ("while :; do echo /*/*/*/*; done", 1),
        ("while :; do echo /d/*a*a*a*a*a*b; done", 1),
        ("while :; do cd /; cd d; done", 1),
        ("while :; do [ -e /etc/loop ]; done", 1),
        ("while :; do nothing_here; done", 1),
        ("while :; do case x in a|b|c|d) ;; esac; done", 1),
        ("while :; do : <<E\n$x$x\nE\ndone", 1),
        ("while :; do : $((1+1)); done", 1),
        ("while :; do trap : EXIT; umask 22; unset x; set +e; type echo; command -v x; done", 1),
        ("trap 'while :; do :; done' EXIT", 1),
        ("read x < /etc/long; while :; do y=${x##*[!x ]}; done", 1),
        ("read x < /etc/long; y=${x%%b*b*b*b*b}; while :; do :; done", 1),
        ("read x < /etc/long; set -- $x; while :; do set -- \"$@\"; done", 1),
        ("read x < /etc/long; while :; do for i in $x; do :; done; done", 1),
        ("read x < /etc/long; while :; do IFS=x; for i in $x; do :; done; done", 1),
    ] {
        let fault = evaluated(text.as_bytes(), tree(), LITTLE).unwrap_err();
        assert!(fault.what.contains(FUEL), "{text}: {fault:?}");
        assert!(fault.line == line && !fault.command.is_empty(), "{text}: {fault:?}");
    }
}

#[test]
fn what_recurs_is_ended_before_the_stack_is() {
    let repeated = |text: &str, count: usize| text.repeat(count);
    for (text, what) in [
        ("f() { f; }; f".to_owned(), DEEP),
        ("f() { g; }; g() { (f); }; f".to_owned(), DEEP),
        ("f() { x=$(f); }; f".to_owned(), DEEP),
        ("f() { f | f; }; f".to_owned(), DEEP),
        ("f() { if f; then :; fi; }; f".to_owned(), DEEP),
        ("f() { command eval f; }; f".to_owned(), DEEP),
        ("f() { case $(f) in *) ;; esac; }; f".to_owned(), DEEP),
        ("x='eval \"$x\"'; eval \"$x\"".to_owned(), DEEP),
        (". /etc/self".to_owned(), DEEP),
        ("again".to_owned(), DEEP),
        ("x=1; f() { : ${y:-$(f)}; }; f".to_owned(), DEEP),
        (format!("test {} x", repeated("! ", 50_000)), ""),
        (format!("test {} x", repeated("\\( ", 50_000)), DEEP),
        (format!("command {} true", repeated("-p ", 50_000)), ""),
        (format!(": $(( {}1 ))", repeated("(", 50_000)), "missing"),
        (format!("x='{}1'; : $(( $x ))", repeated("(", 50_000)), ""),
        (format!("x='{}1'; : $(( $x ))", repeated("-", 50_000)), ""),
        (format!("x='{}1'; : $(( $x ))", repeated("a=", 50_000)), ""),
        (format!("x='{}1'; : $(( $x ))", repeated("1?1:", 50_000)), ""),
        (format!("x='{}1'; : $(( $x ))", repeated("1?", 50_000)), ""),
        (format!("x='{}1'; : $(( $x ))", repeated("1+", 50_000)), ""),
        (format!("x='{}1'; : $(( $x ))", repeated("0||", 50_000)), ""),
        (repeated("if true; then ", 10_000), "nested"),
        (repeated("$(", 10_000), "nested"),
        (repeated("${x:-", 10_000), "nested"),
        (repeated("{ ", 10_000), "nested"),
        (repeated("f() { ", 10_000), "nested"),
        (repeated("`", 10_001), "backquote"),
        (repeated("true && ", 10_000), "missing"),
        (format!("{}:", repeated("! ", 10_000)), ""),
        (format!("{}:", repeated(": | ", 1_000)), ""),
    ] {
        let shown = &text[..text.len().min(40)];
        match evaluated(text.as_bytes(), tree(), 25 * LITTLE) {
            Err(fault) => assert!(fault.what.contains(what), "{shown}: {fault:?}"),
            Ok(outcome) => assert!(what.is_empty(), "{shown}: {outcome:?}"),
        }
    }
}

#[test]
fn a_command_that_makes_more_and_more_is_ended() {
    for text in [
        "echo x | sed ':a;s/x/xx/;ta'",
        "seq 100000 | sed 'G;h'",
        "echo a | sed ':a;ba'",
        "awk 'BEGIN { while (1) x = x \"aaaaaaaa\" }'",
        "awk 'BEGIN { for (;;) print \"y\" }'",
        "awk 'function f(x) { return f(x + 1) } BEGIN { f(1) }'",
        "awk 'BEGIN { for (;;) a[n++] = n }'",
        "awk 'BEGIN { printf \"%999999999d\", 1 }'",
        "awk \"BEGIN { x = $(printf '(%.0s' $(seq 500)) }\"",
        "find . $(printf '! %.0s' $(seq 5000)) -name x",
        "dd if=/dev/zero bs=1M count=100000",
        "cp /etc/long /f; f=/f; while :; do cat $f $f > /g; cat /g /g > /h; cp /h /f; done",
    ] {
        assert!(evaluated(text.as_bytes(), tree(), 4 * LITTLE).is_err(), "{text}");
    }
}

#[test]
fn what_is_no_script_is_refused() {
    for (text, what) in [
        (b"\x7fELF\x02\x01\0\0".to_vec(), "NUL"),
        (b"#!/usr/bin/perl\nprint 1".to_vec(), "written for"),
        (b"#!/bin/sh\n".iter().copied().chain(b":\n".repeat(100_000)).collect(), "20,000 lines"),
        (vec![b'x'; 300 << 10], "longer than"),
        (b"cat <<E\n".to_vec(), "does not end"),
        (b"echo 'a".to_vec(), "quote"),
        (b"\xff\xfe(\x80".to_vec(), "expected"),
        (b"true &\ntrue".to_vec(), "background"),
        (b". /etc/binary".to_vec(), "NUL"),
        (b"/etc/binary".to_vec(), "no shell script"),
        (b"echo x > /proc/sys/kernel/core_pattern".to_vec(), "outside"),
        (b"echo x > /sys/x".to_vec(), "outside"),
        (b"echo x > /dev/sda".to_vec(), "outside"),
        (b"cd /etc; echo x > ../../../proc/x".to_vec(), "outside"),
        (b"ulimit -v unlimited".to_vec(), "not evaluated"),
        (b"alias x='y; z'".to_vec(), "not evaluated"),
        (b"x=(a b)".to_vec(), "POSIX"),
    ] {
        let fault = evaluated(&text, tree(), LITTLE).unwrap_err();
        assert!(fault.what.contains(what), "{}: {fault:?}", text[..text.len().min(60)].escape_ascii());
        assert!(fault.line > 0, "{fault:?}");
    }
}

#[test]
fn an_error_is_short_whatever_it_tells_of() {
    for text in [
        "read x < /etc/long; ulimit $x",
        "read x < /etc/long; printf \"%$x\" 1",
        "read x < /etc/long; echo a > /dev/$x",
        "read x < /etc/long; while :; do echo \"$x\"; done",
    ] {
        let fault = evaluated(text.as_bytes(), tree(), LITTLE).unwrap_err();
        assert!(fault.what.len() < 2_000 && fault.command.len() < 500, "{}: {fault:?}", fault.what.len());
    }
}

/// What the others stand on: the same script, ended or not, by its fuel alone.
#[test]
fn a_script_that_ends_needs_its_fuel() {
    let text = b"i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i > /tmp/$i; done";
    assert!(evaluated(text, tree(), 1 << 10).is_err());
    assert_eq!(evaluated(text, tree(), LITTLE).unwrap().status, 0);
}

/// What commands put together is paid before it is made, and none is longer than a text of theirs may be.
#[test]
fn what_commands_put_together_is_paid_before_it_is_made() {
    let long = "x=sprintf(\"%4096s\",\"\"); for(i=0;i<9;i++) x=x x";
    for text in [
        format!("awk 'BEGIN{{{long}; for(;;) a[n++]=substr(x,1)}}'"),
        format!("awk 'BEGIN{{{long}; for(;;) a[n++]=toupper(x)}}'"),
        format!("awk 'BEGIN{{{long}; for(;;) $0=x}}'"),
        format!("awk 'BEGIN{{{long}; OFS=x; $100000=1; print}}'"),
        format!("awk 'BEGIN{{{long}; print x,x,x,x,x,x,x,x,x}}'"),
        format!("awk 'BEGIN{{{long}; a[x,x,x,x,x,x,x,x,x]=1}}'"),
        format!("awk 'BEGIN{{{long}; y=sprintf(\"%s%s%s%s%s%s%s%s%s\",x,x,x,x,x,x,x,x,x)}}'"),
        "awk 'BEGIN{for(;;){$0=\"\"; $100000=1}}'".to_owned(),
        "read x < /etc/long; echo \"$x$x$x\" | cut -d ' ' -f 1- --output-delimiter=\"$x\"".to_owned(),
        "while :; do echo a | grep -E '((a|ab)(c|bcd)){20}'; done".to_owned(),
        "while :; do echo a | sed 's/a/b/;s/c/d/'; done".to_owned(),
        "while :; do expr a : b; done".to_owned(),
        "i=0; while :; do i=$((i+1)); cp /etc/long /tmp/$i; done".to_owned(),
    ] {
        let fault = evaluated(text.as_bytes(), tree(), LITTLE).unwrap_err();
        assert!(fault.what.contains(FUEL) || fault.what.contains("too long"), "{text}: {fault:?}");
    }
    let many = format!("awk 'BEGIN{{ {} }}'", "/a/;".repeat(501));
    assert!(evaluated(many.as_bytes(), tree(), LITTLE).unwrap_err().what.contains("so many expressions"));
    let many = format!("sed '{}' /etc/self", "s/a/b/;".repeat(501));
    assert!(evaluated(many.as_bytes(), tree(), LITTLE).unwrap_err().what.contains("500 expressions"));
}
