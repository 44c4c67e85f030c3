//! The grammar of awk (XCU awk, "Grammar" and "Lexical Conventions"): from the text of a program to its rules.
//!
//! **Guarantees**: what nests is counted, so that neither reading nor dropping a program needs more stack than there is.
//! **Refuses** with a reason what only other awks have.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::regex::Expression;
use super::lexer;
use super::lexer::Token;

/// Deepest nesting of expressions and statements.
const MAX_DEPTH: usize = 60;
/// Variables that awk sets or reads itself; their places are their indexes here.
pub(super) const SPECIAL: [&str; 13] = [
    "NF", "NR", "FNR", "FS", "OFS", "ORS", "RS", "FILENAME", "SUBSEP", "RSTART", "RLENGTH", "CONVFMT", "OFMT",
];

/// A whole program.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) begin: Vec<Rc<Vec<Statement>>>,
    pub(super) rules: Vec<Rule>,
    pub(super) end: Vec<Rc<Vec<Statement>>>,
    pub(super) functions: Vec<Rc<Function>>,
    /// Names of global variables by their places.
    pub(super) globals: BTreeMap<String, usize>,
    /// What making its expressions took, in nanoseconds.
    pub(super) made: u64,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) from: Option<Expr>,
    pub(super) to: Option<Expr>,
    /// Nothing: the record is printed.
    pub(super) body: Option<Vec<Statement>>,
}

#[derive(Debug, Default)]
pub(super) struct Function {
    pub(super) parameters: Vec<String>,
    /// Which parameters are used as arrays.
    pub(super) arrays: Vec<bool>,
    pub(super) body: Vec<Statement>,
}

/// Where a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Global(usize),
    Local(usize),
}

#[derive(Debug)]
pub(super) enum Statement {
    Expr(Expr),
    Print { what: Vec<Expr>, to: Option<Output> },
    Printf { what: Vec<Expr>, to: Option<Output> },
    If(Expr, Vec<Statement>, Vec<Statement>),
    While(Expr, Vec<Statement>),
    Do(Vec<Statement>, Expr),
    For { first: Vec<Statement>, condition: Option<Expr>, step: Vec<Statement>, body: Vec<Statement> },
    ForIn(Place, Place, Vec<Statement>),
    Delete(Place, Option<Vec<Expr>>),
    Block(Vec<Statement>),
    Next,
    Exit(Option<Expr>),
    Return(Option<Expr>),
    Break,
    Continue,
}

/// Where `print` writes.
#[derive(Debug)]
pub(super) enum Output {
    File(Expr),
    Append(Expr),
    Command(Expr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Concat,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
pub(super) enum Expr {
    Number(f64),
    Text(Rc<[u8]>),
    Regex(Rc<Expression>),
    Variable(Place),
    Field(Box<Expr>),
    Index(Place, Vec<Expr>),
    /// `target = value`, or with an operator before the `=`.
    Assign(Box<Expr>, Option<Binary>, Box<Expr>),
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Minus(Box<Expr>),
    Plus(Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `~`; with `true` for `!~`.
    Match(bool, Box<Expr>, Box<Expr>),
    In(Vec<Expr>, Place),
    /// The target, what is added, and whether the value is that of before.
    Step(Box<Expr>, f64, bool),
    Builtin(&'static str, Vec<Expr>),
    Call(usize, Vec<Expr>),
    Getline(Option<Box<Expr>>, Source),
    /// `(a, b)`, which stands only before `in` and in `print`.
    List(Vec<Expr>),
}

/// Where `getline` reads.
#[derive(Debug)]
pub(super) enum Source {
    Main,
    File(Box<Expr>),
    Command(Box<Expr>),
}

/// Reads a program.
pub(super) fn program(text: &[u8]) -> Result<Program, String> {
    let tokens = lexer::tokens(text)?;
    let mut program = Program::default();
    for (index, name) in SPECIAL.iter().enumerate() {
        program.globals.insert((*name).to_owned(), index);
    }
    // Functions may be called before they stand there.
    let mut functions = BTreeMap::new();
    for pair in tokens.windows(2) {
        if let [Token::Word("function"), Token::Called(name) | Token::Name(name)] = pair {
            functions.insert(name.clone(), functions.len());
            program.functions.push(Rc::default());
        }
    }
    let mut parser =
        Parser { tokens, at: 0, depth: 0, program, functions, locals: Vec::new(), arrays: Vec::new() };
    parser.items()?;
    Ok(parser.program)
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    pub(super) program: Program,
    pub(super) functions: BTreeMap<String, usize>,
    /// Parameters of the function that is read.
    locals: Vec<String>,
    /// Which of them are used as arrays.
    arrays: Vec<bool>,
}

impl Parser {
    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).unwrap_or(&Token::End)
    }

    pub(super) fn take(&mut self, sign: &'static str) -> bool {
        let met = matches!(self.peek(), Token::Sign(found) | Token::Word(found) if *found == sign);
        self.at += usize::from(met);
        met
    }

    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) | Token::Word(found) if *found == sign)
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}` is missing"))) }
    }

    pub(super) fn wrong(&self, what: &str) -> String {
        format!("the program of `awk` is not understood: {what} before {}", self.peek())
    }

    pub(super) fn newlines(&mut self) {
        while self.is("\n") {
            self.at += 1;
        }
    }

    fn ends(&mut self) {
        while self.is("\n") || self.is(";") {
            self.at += 1;
        }
    }

    pub(super) fn deeper<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.depth >= MAX_DEPTH {
            return Err("the program of `awk` is nested too deeply".into());
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn items(&mut self) -> Result<(), String> {
        loop {
            self.ends();
            match self.peek() {
                Token::End => return Ok(()),
                Token::Word("BEGIN") => {
                    self.at += 1;
                    let block = self.block()?;
                    self.program.begin.push(Rc::new(block));
                }
                Token::Word("END") => {
                    self.at += 1;
                    let block = self.block()?;
                    self.program.end.push(Rc::new(block));
                }
                Token::Word("function") => self.definition()?,
                _ => {
                    let (mut from, mut to) = (None, None);
                    if !self.is("{") {
                        from = Some(self.expr()?);
                        if self.take(",") {
                            self.newlines();
                            to = Some(self.expr()?);
                        }
                    }
                    let body = if self.is("{") { Some(self.block()?) } else { None };
                    self.program.rules.push(Rule { from, to, body });
                }
            }
        }
    }

    fn definition(&mut self) -> Result<(), String> {
        self.at += 1;
        let (Token::Name(name) | Token::Called(name)) = self.peek().clone() else {
            return Err(self.wrong("a name is missing"));
        };
        self.at += 1;
        self.expect("(")?;
        let mut parameters = Vec::new();
        while let Token::Name(parameter) = self.peek().clone() {
            self.at += 1;
            parameters.push(parameter);
            if !self.take(",") {
                break;
            }
            self.newlines();
        }
        self.expect(")")?;
        self.newlines();
        self.arrays = vec![false; parameters.len()];
        self.locals.clone_from(&parameters);
        let body = self.block()?;
        self.locals.clear();
        let arrays = std::mem::take(&mut self.arrays);
        let index = self.functions.get(&name).copied().unwrap_or(0);
        if let Some(function) = self.program.functions.get_mut(index) {
            *function = Rc::new(Function { parameters, arrays, body });
        }
        Ok(())
    }

    fn block(&mut self) -> Result<Vec<Statement>, String> {
        self.expect("{")?;
        self.deeper(|parser| {
            let mut statements = Vec::new();
            loop {
                parser.ends();
                if parser.take("}") {
                    return Ok(statements);
                }
                statements.push(parser.statement()?);
            }
        })
    }

    /// One statement or a block, as the body of `if` and loops.
    fn body(&mut self) -> Result<Vec<Statement>, String> {
        self.newlines();
        if self.is("{") {
            return self.block();
        }
        if self.take(";") {
            return Ok(Vec::new());
        }
        Ok(vec![self.deeper(Self::statement)?])
    }

    fn statement(&mut self) -> Result<Statement, String> {
        let Token::Word(word) = *self.peek() else {
            if self.is("{") {
                return Ok(Statement::Block(self.block()?));
            }
            let statement = self.simple()?;
            self.end_of_statement()?;
            return Ok(statement);
        };
        match word {
            "if" => {
                self.at += 1;
                self.expect("(")?;
                let condition = self.expr()?;
                self.expect(")")?;
                let then = self.body()?;
                let before = self.at;
                self.ends();
                let otherwise = if self.take("else") {
                    self.body()?
                } else {
                    self.at = before;
                    Vec::new()
                };
                Ok(Statement::If(condition, then, otherwise))
            }
            "while" => {
                self.at += 1;
                self.expect("(")?;
                let condition = self.expr()?;
                self.expect(")")?;
                Ok(Statement::While(condition, self.body()?))
            }
            "do" => {
                self.at += 1;
                let body = self.body()?;
                self.ends();
                self.expect("while")?;
                self.expect("(")?;
                let condition = self.expr()?;
                self.expect(")")?;
                self.end_of_statement()?;
                Ok(Statement::Do(body, condition))
            }
            "for" => self.loops(),
            "next" | "break" | "continue" => {
                self.at += 1;
                self.end_of_statement()?;
                Ok(match word {
                    "next" => Statement::Next,
                    "break" => Statement::Break,
                    _ => Statement::Continue,
                })
            }
            "exit" | "return" => {
                self.at += 1;
                let ended = matches!(self.peek(), Token::Sign("\n" | ";" | "}") | Token::End);
                let value = if ended { None } else { Some(self.expr()?) };
                self.end_of_statement()?;
                Ok(if word == "exit" { Statement::Exit(value) } else { Statement::Return(value) })
            }
            _ => {
                let statement = self.simple()?;
                self.end_of_statement()?;
                Ok(statement)
            }
        }
    }

    fn loops(&mut self) -> Result<Statement, String> {
        self.at += 1;
        self.expect("(")?;
        if let (Token::Name(name), Token::Word("in"), Token::Name(array), Token::Sign(")")) =
            (self.peek().clone(), self.peek_at(1), self.peek_at(2).clone(), self.peek_at(3))
        {
            self.at += 4;
            let (variable, array) = (self.place(&name), self.array(&array));
            return Ok(Statement::ForIn(variable, array, self.body()?));
        }
        let first = if self.is(";") { Vec::new() } else { vec![self.simple()?] };
        self.expect(";")?;
        self.newlines();
        let condition = if self.is(";") { None } else { Some(self.expr()?) };
        self.expect(";")?;
        self.newlines();
        let step = if self.is(")") { Vec::new() } else { vec![self.simple()?] };
        self.expect(")")?;
        Ok(Statement::For { first, condition, step, body: self.body()? })
    }

    fn end_of_statement(&mut self) -> Result<(), String> {
        match self.peek() {
            Token::Sign("\n" | ";") => {
                self.ends();
                Ok(())
            }
            Token::Sign("}") | Token::End => Ok(()),
            _ => Err(self.wrong("the end of a statement is missing")),
        }
    }

    /// What may stand in the head of a `for`.
    fn simple(&mut self) -> Result<Statement, String> {
        match *self.peek() {
            Token::Word("delete") => {
                self.at += 1;
                let Token::Name(name) = self.peek().clone() else {
                    return Err(self.wrong("an array is missing"));
                };
                self.at += 1;
                let array = self.array(&name);
                if !self.take("[") {
                    return Ok(Statement::Delete(array, None));
                }
                let index = self.list("]")?;
                Ok(Statement::Delete(array, Some(index)))
            }
            Token::Word(word @ ("print" | "printf")) => {
                self.at += 1;
                let mut what = Vec::new();
                if !matches!(self.peek(), Token::Sign("\n" | ";" | "}" | ">" | ">>" | "|") | Token::End) {
                    what.push(self.ternary(false)?);
                    while self.take(",") {
                        self.newlines();
                        what.push(self.ternary(false)?);
                    }
                    if let [Expr::List(_)] = &what[..]
                        && let Some(Expr::List(list)) = what.pop()
                    {
                        what = list;
                    }
                }
                let to = if self.take(">") {
                    Some(Output::File(self.concat()?))
                } else if self.take(">>") {
                    Some(Output::Append(self.concat()?))
                } else if self.take("|") {
                    Some(Output::Command(self.concat()?))
                } else {
                    None
                };
                if word == "print" {
                    Ok(Statement::Print { what, to })
                } else if what.is_empty() {
                    Err(self.wrong("`printf` has no format"))
                } else {
                    Ok(Statement::Printf { what, to })
                }
            }
            _ => Ok(Statement::Expr(self.expr()?)),
        }
    }

    /// Expressions between commas up to a sign, which is taken.
    pub(super) fn list(&mut self, end: &'static str) -> Result<Vec<Expr>, String> {
        let mut all = Vec::new();
        self.newlines();
        if self.take(end) {
            return Ok(all);
        }
        loop {
            all.push(self.expr()?);
            self.newlines();
            if self.take(end) {
                return Ok(all);
            }
            self.expect(",")?;
            self.newlines();
        }
    }

    pub(super) fn place(&mut self, name: &str) -> Place {
        if let Some(index) = self.locals.iter().position(|local| local == name) {
            return Place::Local(index);
        }
        let next = self.program.globals.len();
        Place::Global(*self.program.globals.entry(name.to_owned()).or_insert(next))
    }

    pub(super) fn array(&mut self, name: &str) -> Place {
        let place = self.place(name);
        if let Place::Local(index) = place
            && let Some(used) = self.arrays.get_mut(index)
        {
            *used = true;
        }
        place
    }
}
