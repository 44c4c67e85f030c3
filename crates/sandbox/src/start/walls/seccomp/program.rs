//! From a [`CallList`] to one classic BPF program, the form in which the kernel takes a filter (seccomp(2)).
//!
//! ```text
//!   load the calling convention ─► another one: kill the process
//!   load the call's number
//!   binary search over ranges of numbers ─► allow │ EPERM │ ENOSYS │ look at arguments ─► allow │ EPERM
//! ```
//!
//! A search instead of a row of comparisons keeps the program at some 200 instructions: the kernel checks and compiles it
//! at each install, and runs it once per possible number to find those that it may let through without running it again.
//!
//! **Why not the crate `seccompiler`**, which the tests compare this with, call by call. It compiles rows of comparisons, and
//! one filter has one answer for what is on its list and one for what is not; ours has three (allow, EPERM, ENOSYS), so
//! that two of its filters are needed. The same list for x86_64 in a release build, Linux 6.18, medians of 301:
//!
//! ```text
//!                                        here     seccompiler
//!   instructions                          192      10 + 1521
//!   from the data to a program, µs         42             86
//!   install, µs (twice in each start)      46            610
//!   a call with a looked-at argument, ns  170            193     without a filter 111
//!   a number on no list, ns               129            243     without a filter 87
//! ```

use std::collections::BTreeMap;

use libc::sock_filter;

use super::CallList;
use super::CallRule;
use super::Condition;
use super::Operation;
use super::SeccompError;
use super::Width;
use crate::spec::Debug as Debugging;

/// The kernel's limit (`BPF_MAXINSNS`).
const INSTRUCTIONS_MAX: usize = 4096;

// The operations that are used (linux/filter.h).
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const CONVENTION: u32 = 4;
const ARGUMENTS: u32 = 16;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const DENY: u32 = errno(libc::EPERM);
const ABSENT: u32 = errno(libc::ENOSYS);

const fn errno(number: i32) -> u32 {
    0x0005_0000 | number.cast_unsigned()
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    /// Always the same.
    Return(u32),
    /// Allowed where all conditions of one of these hold.
    Conditions(Vec<Vec<Condition>>),
}

/// The whole program. `convention` is the native `AUDIT_ARCH_…`.
pub(super) fn compile(
    list: &CallList<'_>,
    debug: Debugging,
    convention: u32,
) -> Result<Vec<sock_filter>, SeccompError> {
    let verdicts = verdicts(list, debug)?;
    // Ranges by their first number; the last one has no end, and nothing is allowed in it.
    let mut ranges: Vec<(u32, Verdict)> = vec![(0, Verdict::Return(DENY))];
    let mut add = |number, verdict: Verdict| match ranges.last_mut() {
        Some((_, last)) if *last == verdict => {}
        Some((first, last)) if *first == number => *last = verdict,
        _ => ranges.push((number, verdict)),
    };
    for (number, verdict) in &verdicts {
        add(*number, verdict.clone());
        if !verdicts.contains_key(&(number + 1)) {
            add(number + 1, Verdict::Return(DENY));
        }
    }
    let mut program = vec![
        plain(LOAD, CONVENTION),
        branch(IF_EQUAL, convention, 1, 0),
        plain(RETURN, KILL),
        plain(LOAD, NUMBER),
    ];
    program.extend(search(&ranges)?);
    if program.len() > INSTRUCTIONS_MAX {
        return Err(damaged("more instructions than the kernel takes"));
    }
    Ok(program)
}

fn verdicts(list: &CallList<'_>, debug: Debugging) -> Result<BTreeMap<u32, Verdict>, SeccompError> {
    let mut verdicts = BTreeMap::new();
    let more: &[CallRule<'_>] = if debug == Debugging::Allowed { &list.debug } else { &[] };
    for rule in list.allow.iter().chain(more) {
        // The next number must exist, and x32 numbers begin here.
        if rule.number >= 0x4000_0000 {
            return Err(damaged(&format!("`{}` has a number of another calling convention", rule.syscall)));
        }
        let unconditional = Verdict::Return(ALLOW);
        match (verdicts.get_mut(&rule.number), rule.args.is_empty()) {
            (_, true) => drop(verdicts.insert(rule.number, unconditional)),
            (None, false) => {
                drop(verdicts.insert(rule.number, Verdict::Conditions(vec![rule.args.clone()])));
            }
            (Some(Verdict::Conditions(rules)), false) => rules.push(rule.args.clone()),
            (Some(Verdict::Return(_)), false) => {}
        }
    }
    verdicts.extend(list.absent.iter().map(|rule| (rule.number, Verdict::Return(ABSENT))));
    Ok(verdicts)
}

/// Code that finds the range of the number in the accumulator.
fn search(ranges: &[(u32, Verdict)]) -> Result<Vec<sock_filter>, SeccompError> {
    if let [(_, verdict)] = ranges {
        return match verdict {
            Verdict::Return(value) => Ok(vec![plain(RETURN, *value)]),
            Verdict::Conditions(rules) => conditions(rules),
        };
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (first, low, high) = (high[0].0, search(low)?, search(high)?);
    let mut code = match u8::try_from(low.len()) {
        Ok(over) => vec![branch(IF_NOT_LESS, first, over, 0)],
        // A conditional jump reaches 255 instructions, a plain one any.
        Err(_) => vec![branch(IF_NOT_LESS, first, 0, 1), plain(JUMP, low.len() as u32)],
    };
    code.extend(low);
    code.extend(high);
    Ok(code)
}

/// Code that allows where one of `rules` holds, and denies otherwise.
fn conditions(rules: &[Vec<Condition>]) -> Result<Vec<sock_filter>, SeccompError> {
    let mut code = Vec::new();
    for rule in rules {
        let mut steps = Vec::new();
        for condition in rule {
            steps.extend(condition_steps(condition)?);
        }
        let over = steps.len() + 1;
        for (at, step) in steps.into_iter().enumerate() {
            let next_rule = u8::try_from(over - at - 1).map_err(|_| damaged("a rule is too long"))?;
            code.push(match step {
                Step::Plain(instruction) => instruction,
                Step::Demand { value, equal: true } => branch(IF_EQUAL, value, 0, next_rule),
                Step::Demand { value, equal: false } => branch(IF_EQUAL, value, next_rule, 0),
            });
        }
        code.push(plain(RETURN, ALLOW));
    }
    code.push(plain(RETURN, DENY));
    Ok(code)
}

/// An instruction of a condition, before it is known how far away the next rule is.
enum Step {
    Plain(sock_filter),
    /// Goes on if the accumulator is (or is not) `value`, else to the next rule.
    Demand {
        value: u32,
        equal: bool,
    },
}

fn condition_steps(condition: &Condition) -> Result<Vec<Step>, SeccompError> {
    if condition.index > 5 {
        return Err(damaged("a call has six arguments"));
    }
    // Both architectures store the lower half first.
    let low = ARGUMENTS + 8 * condition.index;
    let half = |offset: u32, shift: u32| {
        let mut steps = vec![Step::Plain(plain(LOAD, offset))];
        if let Operation::MaskedEqual(mask) = condition.operation {
            steps.push(Step::Plain(plain(AND, (mask >> shift) as u32)));
        }
        let equal = condition.operation != Operation::NotEqual;
        steps.push(Step::Demand { value: (condition.value >> shift) as u32, equal });
        steps
    };
    match (condition.width, condition.operation) {
        (Width::Dword, _) => Ok(half(low, 0)),
        (Width::Qword, Operation::NotEqual) => Err(damaged("inequality is known for 32 bits only")),
        (Width::Qword, _) => Ok(half(low + 4, 32).into_iter().chain(half(low, 0)).collect()),
    }
}

const fn plain(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes `yes` or `no` instructions further than the next one.
const fn branch(code: u16, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code, jt: yes, jf: no, k }
}

fn damaged(problem: &str) -> SeccompError {
    SeccompError::Damaged(problem.into())
}

#[cfg(test)]
pub(super) mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    /// What a call looks like to a filter.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Call {
        pub(crate) convention: u32,
        pub(crate) number: u32,
        pub(crate) args: [u64; 6],
    }

    /// What the kernel would make of `call`, as its documentation says (Documentation/networking/filter.rst).
    pub(crate) fn interpret(program: &[sock_filter], call: &Call) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => call.number,
            CONVENTION => call.convention,
            _ => {
                let at = offset - ARGUMENTS;
                (call.args[at as usize / 8] >> (8 * (at % 8))) as u32
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let test = match code {
                0x20 => {
                    accumulator = word(k);
                    continue;
                }
                0x54 => {
                    accumulator &= k;
                    continue;
                }
                0x05 => {
                    at += k as usize;
                    continue;
                }
                0x06 => return k,
                0x15 => accumulator == k,
                0x25 => accumulator > k,
                0x35 => accumulator >= k,
                other => panic!("operation {other:#x}"),
            };
            at += usize::from(if test { jt } else { jf });
        }
    }

    fn rule(number: u32, args: Vec<Condition>) -> CallRule<'static> {
        CallRule { syscall: "", number, args, _comment: IgnoredAny }
    }

    /// Jumps of any length lead to the right place.
    #[test]
    fn a_long_list_is_searched() {
        let odd = |width| Condition {
            index: 1,
            width,
            operation: Operation::MaskedEqual(1 << 40 | 1),
            value: 1,
            _comment: IgnoredAny,
        };
        let allow = (0..3000)
            .step_by(3)
            .map(|number| rule(number, if number % 2 == 0 { Vec::new() } else { vec![odd(Width::Qword)] }));
        let list = CallList {
            allow: allow.clone().take(300).collect(),
            debug: Vec::new(),
            absent: vec![rule(6, Vec::new())],
        };
        let program = compile(&list, Debugging::Denied, 7).unwrap();
        for number in 0..1000 {
            for argument in [0, 1, 3, 1 << 40 | 1, 1 << 41 | 1] {
                let call = Call { convention: 7, number, args: [9, argument, 9, 9, 9, 9] };
                let holds = argument & (1 << 40 | 1) == 1;
                let expected = match number {
                    6 => ABSENT,
                    _ if number % 3 == 0 && number < 900 && (number % 2 == 0 || holds) => ALLOW,
                    _ => DENY,
                };
                assert_eq!(interpret(&program, &call), expected, "{call:?}");
            }
        }
        let foreign = Call { convention: 8, number: 0, args: [0; 6] };
        assert_eq!(interpret(&program, &foreign), KILL);
        let list = CallList { allow: allow.collect(), debug: Vec::new(), absent: Vec::new() };
        assert!(compile(&list, Debugging::Denied, 7).is_err(), "more than the kernel takes");
    }

    #[test]
    fn numbers_of_other_conventions_are_refused() {
        let list =
            CallList { allow: vec![rule(0x4000_0000, Vec::new())], debug: Vec::new(), absent: Vec::new() };
        assert!(compile(&list, Debugging::Denied, 7).is_err());
    }
}
