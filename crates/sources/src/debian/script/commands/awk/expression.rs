//! The expressions of awk, from what binds loosest to what binds closest (XCU awk, "Expressions in awk").

use std::rc::Rc;

use super::super::regex::Expression;
use super::lexer::Token;
use super::syntax::Binary;
use super::syntax::Expr;
use super::syntax::Parser;
use super::syntax::Source;

/// Functions that awk has, with the least and the most of their arguments.
const BUILTINS: [(&str, usize, usize); 19] = [
    ("length", 0, 1),
    ("substr", 2, 3),
    ("index", 2, 2),
    ("split", 2, 3),
    ("sub", 2, 3),
    ("gsub", 2, 3),
    ("match", 2, 2),
    ("sprintf", 1, 1_000),
    ("tolower", 1, 1),
    ("toupper", 1, 1),
    ("int", 1, 1),
    ("sqrt", 1, 1),
    ("exp", 1, 1),
    ("log", 1, 1),
    ("sin", 1, 1),
    ("cos", 1, 1),
    ("atan2", 2, 2),
    ("system", 1, 1),
    ("close", 1, 1),
];

/// An operator that assigns, with what it does to the old value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Assigning {
    Plain,
    With(Binary),
}

/// What the expressions of a program may take to be made, in nanoseconds: five hundred small ones.
const MAX_MADE: u64 = 50_000_000;

impl Parser {
    pub(super) fn expr(&mut self) -> Result<Expr, String> {
        self.ternary(true)
    }

    /// `greater`: whether `>` compares; in `print` it names a file.
    pub(super) fn ternary(&mut self, greater: bool) -> Result<Expr, String> {
        self.deeper(|parser| {
            let condition = parser.either(greater)?;
            if is_target(&condition)
                && let Some(operator) = parser.assignment()
            {
                parser.newlines();
                let value = parser.ternary(greater)?;
                let operator = match operator {
                    Assigning::Plain => None,
                    Assigning::With(operator) => Some(operator),
                };
                return Ok(Expr::Assign(Box::new(condition), operator, Box::new(value)));
            }
            if !parser.take("?") {
                return Ok(condition);
            }
            parser.newlines();
            let then = parser.ternary(greater)?;
            parser.newlines();
            parser.expect(":")?;
            parser.newlines();
            let otherwise = parser.ternary(greater)?;
            Ok(Expr::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise)))
        })
    }

    /// An operator that assigns.
    fn assignment(&mut self) -> Option<Assigning> {
        let Token::Sign(sign) = self.peek() else { return None };
        let operator = match *sign {
            "=" => Assigning::Plain,
            "+=" => Assigning::With(Binary::Add),
            "-=" => Assigning::With(Binary::Subtract),
            "*=" => Assigning::With(Binary::Multiply),
            "/=" => Assigning::With(Binary::Divide),
            "%=" => Assigning::With(Binary::Remainder),
            "^=" => Assigning::With(Binary::Power),
            _ => return None,
        };
        self.at += 1;
        Some(operator)
    }

    fn either(&mut self, greater: bool) -> Result<Expr, String> {
        let mut value = self.both(greater)?;
        while self.take("||") {
            self.newlines();
            value = Expr::Or(Box::new(value), Box::new(self.both(greater)?));
        }
        Ok(value)
    }

    fn both(&mut self, greater: bool) -> Result<Expr, String> {
        let mut value = self.member(greater)?;
        while self.take("&&") {
            self.newlines();
            value = Expr::And(Box::new(value), Box::new(self.member(greater)?));
        }
        Ok(value)
    }

    fn member(&mut self, greater: bool) -> Result<Expr, String> {
        let mut value = self.matching(greater)?;
        while self.take("in") {
            let Token::Name(name) = self.peek().clone() else {
                return Err(self.wrong("an array is missing"));
            };
            self.at += 1;
            let array = self.array(&name);
            value = Expr::In(if let Expr::List(list) = value { list } else { vec![value] }, array);
        }
        Ok(value)
    }

    fn matching(&mut self, greater: bool) -> Result<Expr, String> {
        let mut value = self.comparison(greater)?;
        loop {
            let negated = if self.take("~") {
                false
            } else if self.take("!~") {
                true
            } else {
                return Ok(value);
            };
            value = Expr::Match(negated, Box::new(value), Box::new(self.comparison(greater)?));
        }
    }

    fn comparison(&mut self, greater: bool) -> Result<Expr, String> {
        let mut value = self.concat()?;
        loop {
            let operator = match self.peek() {
                Token::Sign("<") => Binary::Less,
                Token::Sign("<=") => Binary::LessOrEqual,
                Token::Sign("==") => Binary::Equal,
                Token::Sign("!=") => Binary::NotEqual,
                Token::Sign(">") if greater => Binary::Greater,
                Token::Sign(">=") => Binary::GreaterOrEqual,
                Token::Sign("|") if *self.peek_at(1) == Token::Word("getline") => {
                    self.at += 2;
                    let target = self.target()?;
                    value = Expr::Getline(target, Source::Command(Box::new(value)));
                    continue;
                }
                _ => return Ok(value),
            };
            self.at += 1;
            value = Expr::Binary(operator, Box::new(value), Box::new(self.concat()?));
        }
    }

    pub(super) fn concat(&mut self) -> Result<Expr, String> {
        let mut value = self.sum()?;
        while self.begins_operand() {
            value = Expr::Binary(Binary::Concat, Box::new(value), Box::new(self.sum()?));
        }
        Ok(value)
    }

    fn begins_operand(&self) -> bool {
        matches!(
            self.peek(),
            Token::Number(_)
                | Token::Text(_)
                | Token::Regex(_)
                | Token::Name(_)
                | Token::Called(_)
                | Token::Builtin(_)
                | Token::Sign("$" | "!" | "(" | "-" | "+" | "++" | "--")
        )
    }

    fn sum(&mut self) -> Result<Expr, String> {
        let mut value = self.product()?;
        loop {
            let operator = if self.take("+") {
                Binary::Add
            } else if self.take("-") {
                Binary::Subtract
            } else {
                return Ok(value);
            };
            value = Expr::Binary(operator, Box::new(value), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expr, String> {
        let mut value = self.unary()?;
        loop {
            let operator = if self.take("*") {
                Binary::Multiply
            } else if self.take("/") {
                Binary::Divide
            } else if self.take("%") {
                Binary::Remainder
            } else {
                return Ok(value);
            };
            value = Expr::Binary(operator, Box::new(value), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.deeper(|parser| {
            if parser.take("!") {
                Ok(Expr::Not(Box::new(parser.unary()?)))
            } else if parser.take("-") {
                Ok(Expr::Minus(Box::new(parser.unary()?)))
            } else if parser.take("+") {
                Ok(Expr::Plus(Box::new(parser.unary()?)))
            } else {
                parser.power()
            }
        })
    }

    fn power(&mut self) -> Result<Expr, String> {
        let base = self.postfix()?;
        if !self.take("^") {
            return Ok(base);
        }
        // It binds to the right, and closer than a sign before it.
        let exponent = self.deeper(|parser| {
            if parser.take("-") { Ok(Expr::Minus(Box::new(parser.power()?))) } else { parser.power() }
        })?;
        Ok(Expr::Binary(Binary::Power, Box::new(base), Box::new(exponent)))
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        for (sign, step) in [("++", 1.0), ("--", -1.0)] {
            if self.take(sign) {
                let target = self.primary()?;
                if !is_target(&target) {
                    return Err(self.wrong("a variable is missing"));
                }
                return Ok(Expr::Step(Box::new(target), step, false));
            }
        }
        let value = self.primary()?;
        for (sign, step) in [("++", 1.0), ("--", -1.0)] {
            if is_target(&value) && self.take(sign) {
                return Ok(Expr::Step(Box::new(value), step, true));
            }
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let token = self.peek().clone();
        self.at += 1;
        match token {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Text(text) => Ok(Expr::Text(text)),
            Token::Regex(pattern) => {
                let expression = Expression::of_awk(&pattern)?;
                self.program.made += expression.made();
                if self.program.made > MAX_MADE {
                    return Err("a program of `awk` with so many expressions is not evaluated".into());
                }
                Ok(Expr::Regex(Rc::new(expression)))
            }
            Token::Sign("$") => {
                let field = self.deeper(|parser| {
                    // `$++i`, `$-1` and `$NF`, and not `$i++` as `$(i++)`.
                    if parser.is("++") || parser.is("--") {
                        return parser.postfix();
                    }
                    if parser.take("-") {
                        return Ok(Expr::Minus(Box::new(parser.primary()?)));
                    }
                    parser.primary()
                })?;
                Ok(Expr::Field(Box::new(field)))
            }
            Token::Sign("(") => {
                let mut list = self.list(")")?;
                match list.len() {
                    0 => Err(self.wrong("an expression is missing")),
                    // A parenthesis is no target, whatever is in it.
                    1 => Ok(list.pop().map_or(Expr::Number(0.0), |value| {
                        if is_target(&value) || matches!(value, Expr::List(_)) {
                            Expr::List(vec![value])
                        } else {
                            value
                        }
                    })),
                    _ => Ok(Expr::List(list)),
                }
            }
            Token::Word("getline") => {
                let target = self.target()?;
                if !self.take("<") {
                    return Ok(Expr::Getline(target, Source::Main));
                }
                let file = self.deeper(Self::primary)?;
                Ok(Expr::Getline(target, Source::File(Box::new(file))))
            }
            Token::Builtin(name) => {
                let Some((name, least, most)) = BUILTINS.iter().find(|(known, _, _)| *known == name).copied()
                else {
                    return Err(format!("the function `{name}` of `awk` is not known"));
                };
                let mut arguments = Vec::new();
                if self.take("(") {
                    // What `split` fills is an array.
                    if name == "split" {
                        return self.split();
                    }
                    arguments = self.list(")")?;
                } else if name != "length" {
                    return Err(self.wrong("`(` is missing"));
                }
                if !(least..=most).contains(&arguments.len()) {
                    return Err(format!("the function `{name}` of `awk` has other arguments"));
                }
                if matches!(name, "sub" | "gsub") && arguments.get(2).is_some_and(|target| !is_target(target))
                {
                    return Err(format!("the third argument of `{name}` is no variable"));
                }
                Ok(Expr::Builtin(name, arguments))
            }
            Token::Called(name) => {
                let Some(&index) = self.functions.get(&name) else {
                    return Err(format!("the function `{name}` of `awk` is not known"));
                };
                self.expect("(")?;
                let arguments = self.list(")")?;
                Ok(Expr::Call(index, arguments))
            }
            Token::Name(name) => {
                if self.take("[") {
                    let index = self.list("]")?;
                    let array = self.array(&name);
                    return Ok(Expr::Index(array, index));
                }
                Ok(Expr::Variable(self.place(&name)))
            }
            _ => {
                self.at -= 1;
                Err(self.wrong("an expression is missing"))
            }
        }
    }

    /// `split(TEXT, ARRAY [, SEPARATOR])` behind its parenthesis.
    fn split(&mut self) -> Result<Expr, String> {
        let mut arguments = vec![self.expr()?];
        self.expect(",")?;
        self.newlines();
        let Token::Name(name) = self.peek().clone() else { return Err(self.wrong("an array is missing")) };
        self.at += 1;
        let array = self.array(&name);
        arguments.push(Expr::Variable(array));
        if self.take(",") {
            self.newlines();
            arguments.push(self.expr()?);
        }
        self.expect(")")?;
        Ok(Expr::Builtin("split", arguments))
    }

    /// What `getline` sets.
    fn target(&mut self) -> Result<Option<Box<Expr>>, String> {
        if !matches!(self.peek(), Token::Name(_) | Token::Sign("$")) {
            return Ok(None);
        }
        Ok(Some(Box::new(self.deeper(Self::primary)?)))
    }
}

/// Whether it can be assigned to.
fn is_target(value: &Expr) -> bool {
    matches!(value, Expr::Variable(_) | Expr::Field(_) | Expr::Index(..))
}
