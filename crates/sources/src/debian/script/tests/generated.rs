//! Small scripts that are put together by chance, run by dash and by the evaluator.
//!
//! The same ones each time. Each is made of constructs that the language lets stand together, so that quotes, expansions, tests
//! of a status and redirections meet in ways that nobody writes down.

use super::compare_all;

/// How many are compared where nothing else is said.
const SCRIPTS: u64 = 300;

/// SplitMix64: the same row of numbers from the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }

    fn name(&mut self) -> &'static str {
        self.of(&["a", "b", "c", "e", "u", "s", "p", "1", "2", "3", "@", "*", "#", "?"])
    }

    fn variable(&mut self) -> &'static str {
        self.of(&["a", "b", "c", "e", "s", "n"])
    }

    /// A word outside quotes.
    fn word(&mut self, depth: usize) -> String {
        let mut word = String::new();
        for _ in 0..=self.below(3) {
            word.push_str(&self.piece(depth));
        }
        word
    }

    fn piece(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .of(&["x", "y1", "'q r'", "\"d\"", "$a", "\"$s\"", "\\ ", "-", "''", "*.txt", "$e"])
                .to_owned();
        }
        let inner = depth - 1;
        match self.below(15) {
            0 => self.of(&["foo", "a:b", "x/y", "=", "a.txt", "[ab]", "?", "%", "~", "{x}", ","]).to_owned(),
            1 => format!("'{}'", self.of(&["a b", "*", "$a", "\\n", "\"", "", "`"])),
            2 | 3 => format!("\"{}\"", self.quoted(inner)),
            4 => format!("${}", self.name()),
            5 => format!("\"${}\"", self.name()),
            6 | 7 => self.braces(inner, false),
            8 => format!("$( {})", self.command(inner)),
            9 => format!("`echo {}`", self.of(&["x", "$a", "\"$s\"", "\\$b", "'a b'"])),
            10 | 11 => format!("$(({}))", self.sum(inner)),
            12 => format!("\\{}", self.of(&["$", "\\", "\"", "'", "*", "a", ";"])),
            _ => self.of(&["x", "$a", "$s", "\"$@\"", "$*", "\"$*\"", "$p"]).to_owned(),
        }
    }

    fn quoted(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(3) {
            text.push_str(&match self.below(8) {
                0 => self.of(&["a  b", "'", "*", "x", "\\$", "\\\\", "\\\"", "\\a", "~", ":"]).to_owned(),
                1 | 2 => format!("${}", self.name()),
                3 | 4 if depth > 0 => self.braces(depth - 1, true),
                5 if depth > 0 => format!("$( {})", self.command(depth - 1)),
                6 if depth > 0 => format!("$(({}))", self.sum(depth - 1)),
                _ => self.of(&["t", "$s", "$@", " "]).to_owned(),
            });
        }
        text
    }

    fn braces(&mut self, depth: usize, quoted: bool) -> String {
        let name = self.of(&["a", "b", "c", "e", "u", "s", "p", "1", "2", "9"]);
        match self.below(3) {
            0 => format!("${{#{name}}}"),
            1 => {
                let operator = self.of(&["-", ":-", "+", ":+"]);
                let operand = if quoted { self.quoted(depth).replace('\'', "") } else { self.word(depth) };
                format!("${{{name}{operator}{operand}}}")
            }
            _ => {
                let operator = self.of(&["#", "##", "%", "%%"]);
                let pattern = self.of(&[
                    "*", "?", "a", "*b", "b*", "[a-b]", "*[!a]", "\"*\"", "$p", "\"$p\"", "x*", "*:", ":*",
                    "\\*", " *", "* ",
                ]);
                format!("${{{name}{operator}{pattern}}}")
            }
        }
    }

    fn sum(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.of(&["1", "2", "n", "$n", "010", "0x1f", "-3", "0", "undefined"]).to_owned();
        }
        let (left, right) = (self.sum(depth - 1), self.sum(depth - 1));
        match self.below(8) {
            0 => format!("({left})"),
            1 => format!("{} {left}", self.of(&["-", "!", "~", "+"])),
            2 => format!("{left} ? {right} : {}", self.sum(depth - 1)),
            3 => format!("n {} {left}", self.of(&["=", "+=", "-=", "*=", "|=", "&=", "^="])),
            _ => {
                let operator =
                    self.of(&["+", "-", "*", "<", "<=", ">", ">=", "==", "!=", "&", "|", "^", "&&", "||"]);
                format!("{left} {operator} {right}")
            }
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        match self.below(8) {
            0 => format!("[ {} = {} ]", self.word(depth), self.word(depth)),
            1 => format!(
                "[ \"{}\" {} \"{}\" ]",
                self.quoted(0),
                self.of(&["=", "!=", "<", "-eq"]),
                self.quoted(0)
            ),
            2 => format!("[ {} {} ]", self.of(&["-n", "-z", "-f", "-d", "-e", "!"]), self.word(depth)),
            3 => format!("[ $n {} {} ]", self.of(&["-eq", "-ne", "-lt", "-ge"]), self.below(4)),
            4 => format!(
                "[ {} {} {} ]",
                self.of(&["a", "", "-f a.txt", "! x"]),
                self.of(&["-a", "-o"]),
                self.of(&["b", "!", "\"\"", "-d dir"])
            ),
            5 => "true".to_owned(),
            6 => "false".to_owned(),
            _ => format!("(exit {})", self.below(4)),
        }
    }

    fn shown(&mut self, depth: usize) -> String {
        match self.below(4) {
            0 => format!("printf '<%s>' {} {}; echo", self.word(depth), self.word(depth)),
            1 => format!(
                "for i in {} {}; do printf '[%s]' \"$i\"; done; echo",
                self.word(depth),
                self.word(depth)
            ),
            2 => format!("printf '%s|' \"{}\" $?; echo", self.quoted(depth)),
            _ => format!("v={}; printf '{{%s}}' \"$v\" $?; echo", self.word(depth)),
        }
    }

    fn command(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.shown(0);
        }
        let inner = depth - 1;
        match self.below(24) {
            0 => format!(
                "if {}; then {}; else {}; fi",
                self.condition(inner),
                self.command(inner),
                self.command(inner)
            ),
            1 => format!("{} && {} || {}", self.condition(inner), self.simple(inner), self.simple(inner)),
            2 => format!("{{ {}; {}; }}", self.command(inner), self.command(inner)),
            3 => format!("({}; {})", self.command(inner), self.command(inner)),
            4 => format!(
                "case {} in {}) {};; *) {};; esac",
                self.word(inner),
                self.of(&["a*", "*b", "\"$a\"", "$p", "[!a]*", "?", "''", "x|y*"]),
                self.command(inner),
                self.shown(inner)
            ),
            5 => format!("{}={}", self.variable(), self.word(inner)),
            6 => format!("{}=$( {})", self.variable(), self.command(inner)),
            7 => format!("f() {{ {}; }}; f {}", self.command(inner), self.word(0)),
            8 => format!(
                "{} | while read x y; do printf '%s=%s.' \"$x\" \"$y\"; done; echo",
                self.simple(inner)
            ),
            9 => format!("set -- {} {}; echo $#", self.word(inner), self.word(inner)),
            10 => format!("IFS={}", self.of(&[":", "' '", "'a'", "': '", "''"])),
            11 => "unset IFS".to_owned(),
            12 => format!(
                "for i in 1 2; do {}; {} && {}; echo $i; done",
                self.command(inner),
                self.condition(0),
                self.of(&["break", "continue", "true"])
            ),
            13 => format!("! {}; echo $?", self.condition(inner)),
            14 => format!("set {}e", self.of(&["-", "+"])),
            15 => {
                format!("eval {}", self.of(&["'echo $a'", "\"echo \\\"$s\\\"\"", "'b=$a'", "'false'", "''"]))
            }
            16 => format!("{{ {}; }} > out; read l < out; echo \"$l\"", self.command(inner)),
            17 => format!(
                "while read -r l; do printf '(%s)' \"$l\"; done <<E; echo\n{}\nE\n:",
                self.quoted(inner).replace('`', "")
            ),
            18 => format!(
                "IFS={} read x y <<E; printf '%s;' \"$x\" \"$y\"; echo\n{}\nE\n:",
                self.of(&[":", "' '", "', '"]),
                self.of(&["a:b:c", " a  b ", "$s", "a,b , c", ":x:", "\\a b"])
            ),
            19 => format!(
                "g() {{ local a={}; {}; return {}; }}; g; echo $?",
                self.word(0),
                self.command(inner),
                self.below(3)
            ),
            20 => format!("{}; echo $?", self.condition(inner)),
            _ => self.shown(inner),
        }
    }

    fn simple(&mut self, depth: usize) -> String {
        if self.below(2) == 0 { self.condition(depth) } else { format!("echo {}", self.word(depth)) }
    }

    fn script(&mut self) -> String {
        let mut text = String::from("a='x y' b=aXb c=a:b:c e= s=' l  m ' p='*b' n=3\n");
        if self.below(4) == 0 {
            text.push_str("trap 'echo end $?' EXIT\n");
        }
        for _ in 0..2 + self.below(5) {
            text.push_str(&self.command(3));
            text.push('\n');
        }
        text
    }
}

/// A number of the environment.
fn of_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `SCRIPTS=5000 SEED=7` compares so many others.
#[test]
fn scripts_that_nobody_wrote_mean_what_they_mean_to_dash() {
    let (count, seed) = (of_environment("SCRIPTS").unwrap_or(SCRIPTS), of_environment("SEED").unwrap_or(1));
    let scripts = (0..count).map(|index| {
        let text = Chance(seed.wrapping_add(index.wrapping_mul(0x1000))).script();
        (format!("{index}: {text}"), text)
    });
    compare_all(scripts);
}
