//! awk at work: records, fields, variables, and what statements and expressions do with them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::Word;
use super::super::regex::Expression;
use super::input::Input;
use super::input::Reader;
use super::output::Kind;
use super::syntax::Binary;
use super::syntax::Expr;
use super::syntax::Place;
use super::syntax::Program;
use super::syntax::Source;
use super::syntax::Statement;
use super::value::Value;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;

pub(super) const NF: usize = 0;
pub(super) const NR: usize = 1;
pub(super) const FNR: usize = 2;
pub(super) const FS: usize = 3;
pub(super) const OFS: usize = 4;
pub(super) const ORS: usize = 5;
pub(super) const RS: usize = 6;
pub(super) const FILENAME: usize = 7;
const SUBSEP: usize = 8;
pub(super) const RSTART: usize = 9;
pub(super) const RLENGTH: usize = 10;
pub(super) const CONVFMT: usize = 11;
pub(super) const OFMT: usize = 12;

/// Deepest nesting of what is evaluated, calls of functions included.
const MAX_DEPTH: usize = 2_000;
/// Most fields of a record.
const MAX_FIELDS: usize = 1 << 20;
/// Longest text.
pub(super) const MAX_TEXT: usize = 4 << 20;
/// Most expressions that are kept compiled.
const MAX_KEPT: usize = 64;

/// An array: texts by their indexes. Parameters share it.
pub(super) type Array = Rc<RefCell<BTreeMap<Rc<[u8]>, Value>>>;

/// What a variable is.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Scalar(Value),
    Array(Array),
}

/// Why the statements that follow are not run.
pub(super) enum Jump {
    Next,
    Exit,
    Return(Value),
    Break,
    Continue,
    Flow(Flow),
}

impl From<Flow> for Jump {
    fn from(flow: Flow) -> Self {
        Self::Flow(flow)
    }
}

pub(super) type Done<T> = Result<T, Jump>;

pub(super) struct Machine<'m, 's, 'w> {
    pub(super) shell: &'m mut Shell<'s, 'w>,
    pub(super) words: &'m [Word],
    program: Rc<Program>,
    globals: Vec<Cell>,
    locals: Vec<Cell>,
    pub(super) record: Rc<[u8]>,
    fields: Vec<Value>,
    /// Whether the fields are those of the record, and the record that of the fields.
    split: bool,
    joined: bool,
    pub(super) input: Input,
    pub(super) readers: BTreeMap<Vec<u8>, Reader>,
    /// Files and commands that were written to, in order, and what.
    pub(super) outputs: Vec<(Kind, Vec<u8>, Vec<u8>)>,
    pub(super) out: Vec<u8>,
    expressions: BTreeMap<Vec<u8>, Rc<Expression>>,
    pub(super) status: i32,
    depth: usize,
}

impl<'m, 's, 'w> Machine<'m, 's, 'w> {
    pub(super) fn new(
        shell: &'m mut Shell<'s, 'w>,
        words: &'m [Word],
        program: Program,
        input: Input,
    ) -> Self {
        let mut globals = vec![Cell::Scalar(Value::Unset); program.globals.len()];
        for (place, text) in [
            (FS, " "),
            (OFS, " "),
            (ORS, "\n"),
            (RS, "\n"),
            (SUBSEP, "\x1c"),
            (CONVFMT, "%.6g"),
            (OFMT, "%.6g"),
        ] {
            globals[place] = Cell::Scalar(Value::text(text.as_bytes()));
        }
        Self {
            shell,
            words,
            program: Rc::new(program),
            globals,
            locals: Vec::new(),
            record: Rc::from(&b""[..]),
            fields: Vec::new(),
            split: true,
            joined: true,
            input,
            readers: BTreeMap::new(),
            outputs: Vec::new(),
            out: Vec::new(),
            expressions: BTreeMap::new(),
            status: 0,
            depth: 0,
        }
    }

    pub(super) fn fault(&self, what: impl Into<String>) -> Jump {
        Jump::Flow(self.shell.fault(self.words, what))
    }

    /// `NAME=VALUE` on the command line.
    pub(super) fn assign(&mut self, name: &str, value: &[u8]) -> Done<()> {
        let mut text = Vec::new();
        let mut at = 0;
        while let Some(&byte) = value.get(at) {
            at += 1;
            if byte == b'\\' {
                at += super::lexer::escape(&value[at..], &mut text);
            } else {
                text.push(byte);
            }
        }
        // What the program does not name is of no use to it.
        if let Some(&place) = self.program.globals.get(name) {
            self.set(Place::Global(place), Value::Input(text.into()))?;
        }
        Ok(())
    }

    /// Fills the array of that name, where the program has one.
    pub(super) fn fill(&mut self, name: &str, values: impl Iterator<Item = (Vec<u8>, Value)>) {
        if let Some(&place) = self.program.globals.get(name) {
            let all = values.map(|(index, value)| (Rc::from(&index[..]), value)).collect();
            self.globals[place] = Cell::Array(Rc::new(RefCell::new(all)));
        }
    }

    /// Sets a number, where the program has a variable of that name.
    pub(super) fn number_of(&mut self, name: &str, value: f64) {
        if let Some(&place) = self.program.globals.get(name) {
            self.globals[place] = Cell::Scalar(Value::Number(value));
        }
    }

    /// The whole program.
    pub(super) fn run(&mut self) -> Result<i32, Flow> {
        let program = Rc::clone(&self.program);
        let ended = self.phase(|machine| program.begin.iter().try_for_each(|block| machine.block(block)))?;
        let reads = !(program.rules.is_empty() && program.end.is_empty());
        // `exit` goes through END; `exit` in END ends it.
        if reads && !ended {
            self.phase(|machine| machine.records(&program))?;
        }
        self.phase(|machine| program.end.iter().try_for_each(|block| machine.block(block)))?;
        self.flush()?;
        for (kind, name, bytes) in std::mem::take(&mut self.outputs) {
            self.close_output(kind, &name, bytes)?;
        }
        Ok(self.status)
    }

    /// Whether it ended with `exit`.
    fn phase(&mut self, work: impl FnOnce(&mut Self) -> Done<()>) -> Result<bool, Flow> {
        match work(self) {
            Ok(()) | Err(Jump::Next | Jump::Break | Jump::Continue | Jump::Return(_)) => Ok(false),
            Err(Jump::Exit) => Ok(true),
            Err(Jump::Flow(flow)) => Err(flow),
        }
    }

    fn records(&mut self, program: &Rc<Program>) -> Done<()> {
        let mut open = vec![false; program.rules.len()];
        while let Some(record) = self.next_record()? {
            self.set_record(&record);
            for (rule, open) in program.rules.iter().zip(&mut open) {
                let selected = match (&rule.from, &rule.to) {
                    (None, _) => true,
                    (Some(from), None) => self.value(from)?.holds(),
                    (Some(from), Some(to)) => {
                        let selected = *open || self.value(from)?.holds();
                        if selected {
                            *open = !self.value(to)?.holds();
                        }
                        selected
                    }
                };
                if !selected {
                    continue;
                }
                let done = match &rule.body {
                    Some(body) => self.block(body),
                    None => self.print(&[], None),
                };
                match done {
                    Err(Jump::Next) => break,
                    other => other?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_record(&mut self, record: &[u8]) {
        self.record = record.into();
        (self.split, self.joined) = (false, true);
    }

    fn block(&mut self, statements: &[Statement]) -> Done<()> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    /// The body of a loop; whether the loop ends.
    fn turn(&mut self, body: &[Statement]) -> Done<bool> {
        match self.block(body) {
            Ok(()) | Err(Jump::Continue) => Ok(false),
            Err(Jump::Break) => Ok(true),
            Err(other) => Err(other),
        }
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault("the program of `awk` is nested too deeply"));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn statement(&mut self, statement: &Statement) -> Done<()> {
        self.shell.spend(100)?;
        self.deeper(|machine| machine.shallow(statement))
    }

    fn shallow(&mut self, statement: &Statement) -> Done<()> {
        match statement {
            Statement::Expr(value) => self.value(value).map(drop),
            Statement::Print { what, to } => self.print(what, to.as_ref()),
            Statement::Printf { what, to } => {
                let text = self.format(what)?;
                self.write(&text, to.as_ref())
            }
            Statement::If(condition, then, otherwise) => {
                let holds = self.value(condition)?.holds();
                self.block(if holds { then } else { otherwise })
            }
            Statement::While(condition, body) => {
                while self.value(condition)?.holds() && !self.turn(body)? {}
                Ok(())
            }
            Statement::Do(body, condition) => {
                while !self.turn(body)? && self.value(condition)?.holds() {}
                Ok(())
            }
            Statement::For { first, condition, step, body } => {
                self.block(first)?;
                loop {
                    self.shell.spend(100)?;
                    if let Some(condition) = condition
                        && !self.value(condition)?.holds()
                    {
                        return Ok(());
                    }
                    if self.turn(body)? {
                        return Ok(());
                    }
                    self.block(step)?;
                }
            }
            Statement::ForIn(variable, array, body) => {
                let array = self.array(*array)?;
                let mut keys: Vec<Rc<[u8]>> = array.borrow().keys().cloned().collect();
                self.shell.spend(200 * keys.len() as u64)?;
                // No order is promised: whole numbers by their size, then the rest by its bytes.
                let order = |key: &Rc<[u8]>| {
                    std::str::from_utf8(key)
                        .ok()
                        .and_then(|key| key.parse::<i64>().ok())
                        .map_or((1, 0), |key| (0, key))
                };
                keys.sort_by_key(order);
                for key in keys {
                    if !array.borrow().contains_key(&key) {
                        continue;
                    }
                    self.set(*variable, Value::Input(key))?;
                    if self.turn(body)? {
                        break;
                    }
                }
                Ok(())
            }
            Statement::Delete(array, index) => {
                let array = self.array(*array)?;
                match index {
                    Some(index) => {
                        let index = self.index(index)?;
                        array.borrow_mut().remove(&index);
                    }
                    None => array.borrow_mut().clear(),
                }
                Ok(())
            }
            Statement::Block(statements) => self.block(statements),
            Statement::Next => Err(Jump::Next),
            Statement::Exit(value) => {
                if let Some(value) = value {
                    self.status = self.value(value)?.number() as i64 as i32 & 0xff;
                }
                Err(Jump::Exit)
            }
            Statement::Return(value) => {
                let value = match value {
                    Some(value) => self.value(value)?,
                    None => Value::Unset,
                };
                Err(Jump::Return(value))
            }
            Statement::Break => Err(Jump::Break),
            Statement::Continue => Err(Jump::Continue),
        }
    }

    /// Pays for bytes that are made or looked at.
    pub(super) fn charge(&mut self, bytes: usize) -> Done<()> {
        if bytes > MAX_TEXT {
            return Err(self.fault("a text of `awk` is too long"));
        }
        Ok(self.shell.spend_bytes(bytes)?)
    }

    /// The text of one of awk's own variables.
    pub(super) fn special(&self, place: usize) -> Rc<[u8]> {
        match self.globals.get(place) {
            Some(Cell::Scalar(value)) => value.bytes(b"%.6g"),
            _ => Rc::from(&b""[..]),
        }
    }

    pub(super) fn set_special(&mut self, place: usize, value: Value) {
        self.globals[place] = Cell::Scalar(value);
    }

    /// The next record of the main input, counted.
    fn next_record(&mut self) -> Done<Option<Vec<u8>>> {
        let Some(record) = self.read_main()? else { return Ok(None) };
        for place in [NR, FNR] {
            let now = match &self.globals[place] {
                Cell::Scalar(value) => value.number(),
                Cell::Array(_) => 0.0,
            };
            self.set_special(place, Value::Number(now + 1.0));
        }
        Ok(Some(record))
    }

    pub(super) fn expression_of(&mut self, pattern: &[u8]) -> Done<Rc<Expression>> {
        if let Some(known) = self.expressions.get(pattern) {
            return Ok(Rc::clone(known));
        }
        self.shell.spend(20_000 + 1_000 * pattern.len() as u64)?;
        let expression = Rc::new(Expression::of_awk(pattern).map_err(|what| self.fault(what))?);
        if self.expressions.len() >= MAX_KEPT {
            self.expressions.clear();
        }
        self.expressions.insert(pattern.to_vec(), Rc::clone(&expression));
        Ok(expression)
    }

    /// The expression that a value stands for.
    pub(super) fn regex(&mut self, value: &Expr) -> Done<Rc<Expression>> {
        match value {
            Expr::Regex(expression) => Ok(Rc::clone(expression)),
            Expr::List(list) if matches!(list[..], [Expr::Regex(_)]) => self.regex(&list[0]),
            other => {
                let pattern = self.bytes(other)?;
                self.expression_of(&pattern)
            }
        }
    }

    pub(super) fn bytes(&mut self, value: &Expr) -> Done<Rc<[u8]>> {
        let value = self.value(value)?;
        Ok(value.bytes(&self.special(CONVFMT)))
    }

    pub(super) fn number(&mut self, value: &Expr) -> Done<f64> {
        Ok(self.value(value)?.number())
    }

    fn index(&mut self, index: &[Expr]) -> Done<Rc<[u8]>> {
        if let [one] = index {
            return self.bytes(one);
        }
        let (mut all, between) = (Vec::new(), self.special(SUBSEP));
        for (at, part) in index.iter().enumerate() {
            let part = self.bytes(part)?;
            self.charge(all.len() + between.len() + part.len())?;
            if at > 0 {
                all.extend_from_slice(&between);
            }
            all.extend_from_slice(&part);
        }
        Ok(all.into())
    }

    fn cell(&mut self, place: Place) -> Done<&mut Cell> {
        let cell = match place {
            Place::Global(at) => self.globals.get_mut(at),
            Place::Local(at) => self.locals.get_mut(at),
        };
        match cell {
            Some(cell) => Ok(cell),
            None => Err(Jump::Flow(self.shell.fault(self.words, "a variable of `awk` is missing"))),
        }
    }

    /// Whether an array is there.
    pub(super) fn is_array(&mut self, place: Place) -> Done<bool> {
        Ok(matches!(self.cell(place)?, Cell::Array(_)))
    }

    /// The array at a place, made where nothing is yet.
    pub(super) fn array(&mut self, place: Place) -> Done<Array> {
        let cell = self.cell(place)?;
        match cell {
            Cell::Array(array) => return Ok(Rc::clone(array)),
            Cell::Scalar(Value::Unset) => {
                let array = Array::default();
                *cell = Cell::Array(Rc::clone(&array));
                return Ok(array);
            }
            Cell::Scalar(_) => {}
        }
        Err(self.fault("a variable of `awk` is used as an array"))
    }

    fn get(&mut self, place: Place) -> Done<Value> {
        if place == Place::Global(NF) {
            self.split_record()?;
            return Ok(Value::Number(self.fields.len() as f64));
        }
        match self.cell(place)? {
            Cell::Scalar(value) => Ok(value.clone()),
            Cell::Array(_) => Err(self.fault("an array of `awk` is used as a value")),
        }
    }

    fn set(&mut self, place: Place, value: Value) -> Done<()> {
        if place == Place::Global(NF) {
            self.split_record()?;
            let count = value.number().max(0.0) as usize;
            if count > MAX_FIELDS {
                return Err(self.fault("a record of `awk` has too many fields"));
            }
            self.grow(count)?;
            self.fields.truncate(count);
            self.joined = false;
        }
        match self.cell(place)? {
            cell @ Cell::Scalar(_) => {
                *cell = Cell::Scalar(value);
                Ok(())
            }
            Cell::Array(_) => Err(self.fault("an array of `awk` is used as a value")),
        }
    }

    /// `$0` as it is with its fields changed.
    pub(super) fn whole_record(&mut self) -> Done<Rc<[u8]>> {
        if !self.joined {
            let (between, format) = (self.special(OFS), self.special(CONVFMT));
            let texts: Vec<Rc<[u8]>> = self.fields.iter().map(|field| field.bytes(&format)).collect();
            let length: usize = texts.iter().map(|text| text.len() + between.len()).sum();
            self.charge(length)?;
            let record = texts.join(&between[..]);
            self.record = record.into();
            self.joined = true;
        }
        Ok(Rc::clone(&self.record))
    }

    fn split_record(&mut self) -> Done<()> {
        if !self.split {
            let record = Rc::clone(&self.record);
            let separator = self.special(FS);
            self.fields = self.parts(&record, &separator)?.into_iter().map(Value::Input).collect();
            self.split = true;
        }
        Ok(())
    }

    /// So many fields at least.
    fn grow(&mut self, count: usize) -> Done<()> {
        if let Some(more) = count.checked_sub(self.fields.len()).filter(|more| *more > 0) {
            self.shell.spend_bytes(more * size_of::<Value>())?;
            self.fields.resize(count, Value::Unset);
        }
        Ok(())
    }

    fn field(&mut self, number: f64) -> Done<usize> {
        if number < 0.0 || number > MAX_FIELDS as f64 {
            return Err(self.fault("a field of this number is not evaluated"));
        }
        Ok(number as usize)
    }

    pub(super) fn store(&mut self, target: &Expr, value: Value) -> Done<()> {
        match target {
            Expr::Variable(place) => self.set(*place, value),
            Expr::Index(array, index) => {
                let index = self.index(index)?;
                self.shell.spend(100)?;
                self.array(*array)?.borrow_mut().insert(index, value);
                Ok(())
            }
            Expr::Field(number) => {
                let number = self.number(number)?;
                match self.field(number)? {
                    0 => {
                        let record = value.bytes(&self.special(CONVFMT));
                        self.charge(record.len())?;
                        self.set_record(&record);
                    }
                    field => {
                        self.split_record()?;
                        self.grow(field)?;
                        self.fields[field - 1] = value;
                        self.joined = false;
                    }
                }
                Ok(())
            }
            _ => Err(self.fault("this is no variable of `awk`")),
        }
    }

    pub(super) fn value(&mut self, value: &Expr) -> Done<Value> {
        self.shell.spend(100)?;
        self.deeper(|machine| machine.shallow_value(value))
    }

    fn shallow_value(&mut self, value: &Expr) -> Done<Value> {
        Ok(match value {
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(Rc::clone(text)),
            Expr::Regex(expression) => {
                let record = self.whole_record()?;
                self.shell.spend(expression.price(record.len()))?;
                Value::flag(expression.is_match(&record))
            }
            Expr::Variable(place) => self.get(*place)?,
            Expr::Field(number) => {
                let number = self.number(number)?;
                match self.field(number)? {
                    0 => Value::Input(self.whole_record()?),
                    field => {
                        self.split_record()?;
                        self.fields.get(field - 1).cloned().unwrap_or(Value::Unset)
                    }
                }
            }
            Expr::Index(Place::Global(place), index)
                if self.program.globals.get("ENVIRON") == Some(place) =>
            {
                let name = self.index(index)?;
                let name = String::from_utf8_lossy(&name).into_owned();
                self.shell.exported(&name).map_or(Value::Unset, Value::Input)
            }
            Expr::Index(array, index) => {
                let index = self.index(index)?;
                let array = self.array(*array)?;
                let mut array = array.borrow_mut();
                array.entry(index).or_insert(Value::Unset).clone()
            }
            Expr::Assign(target, operator, value) => {
                let value = match operator {
                    Some(operator) => {
                        let right = self.value(value)?;
                        let left = self.value(target)?;
                        self.binary(*operator, &left, &right)?
                    }
                    None => match self.value(value)? {
                        // What was never set is so no longer when it was assigned.
                        Value::Unset => Value::Input(Rc::from(&b""[..])),
                        other => other,
                    },
                };
                self.store(target, value.clone())?;
                value
            }
            Expr::Conditional(condition, then, otherwise) => {
                let holds = self.value(condition)?.holds();
                self.value(if holds { then } else { otherwise })?
            }
            Expr::And(left, right) => Value::flag(self.value(left)?.holds() && self.value(right)?.holds()),
            Expr::Or(left, right) => Value::flag(self.value(left)?.holds() || self.value(right)?.holds()),
            Expr::Not(value) => Value::flag(!self.value(value)?.holds()),
            Expr::Minus(value) => Value::Number(-self.number(value)?),
            Expr::Plus(value) => Value::Number(self.number(value)?),
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*operator, &left, &right)?
            }
            Expr::Match(negated, text, pattern) => {
                let text = self.bytes(text)?;
                let expression = self.regex(pattern)?;
                self.shell.spend(expression.price(text.len()))?;
                Value::flag(expression.is_match(&text) != *negated)
            }
            Expr::In(index, array) => {
                let index = self.index(index)?;
                Value::flag(self.array(*array)?.borrow().contains_key(&index))
            }
            Expr::Step(target, step, before) => {
                let old = self.number(target)?;
                self.store(target, Value::Number(old + step))?;
                Value::Number(if *before { old } else { old + step })
            }
            Expr::Builtin(name, arguments) => self.builtin(name, arguments)?,
            Expr::Call(function, arguments) => self.call(*function, arguments)?,
            Expr::Getline(target, source) => self.getline(target.as_deref(), source)?,
            Expr::List(list) => match &list[..] {
                [one] => self.value(one)?,
                _ => return Err(self.fault("a list stands where `awk` wants a value")),
            },
        })
    }

    fn binary(&mut self, operator: Binary, left: &Value, right: &Value) -> Done<Value> {
        let numbers = || (left.number(), right.number());
        Ok(Value::Number(match operator {
            Binary::Add => numbers().0 + numbers().1,
            Binary::Subtract => numbers().0 - numbers().1,
            Binary::Multiply => numbers().0 * numbers().1,
            Binary::Divide | Binary::Remainder if numbers().1 == 0.0 => {
                return Err(self.fault("`awk` divides by zero"));
            }
            Binary::Divide => numbers().0 / numbers().1,
            Binary::Remainder => numbers().0 % numbers().1,
            Binary::Power => libm::pow(numbers().0, numbers().1),
            Binary::Concat => {
                let format = self.special(CONVFMT);
                let text = [&*left.bytes(&format), &*right.bytes(&format)].concat();
                self.charge(text.len())?;
                return Ok(Value::Text(text.into()));
            }
            compared => {
                let order = left.compare(right, &self.special(CONVFMT));
                return Ok(Value::flag(order.is_some_and(|order| match compared {
                    Binary::Less => order.is_lt(),
                    Binary::LessOrEqual => order.is_le(),
                    Binary::Equal => order.is_eq(),
                    Binary::NotEqual => order.is_ne(),
                    Binary::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })));
            }
        }))
    }

    fn call(&mut self, function: usize, arguments: &[Expr]) -> Done<Value> {
        let Some(function) = self.program.functions.get(function).cloned() else {
            return Err(self.fault("this function of `awk` is not known"));
        };
        if arguments.len() > function.parameters.len() {
            return Err(self.fault("a function of `awk` has too many arguments"));
        }
        let mut locals = Vec::with_capacity(function.parameters.len());
        for (at, argument) in arguments.iter().enumerate() {
            locals.push(match argument {
                Expr::Variable(place) => {
                    if function.arrays.get(at) == Some(&true) || matches!(self.cell(*place)?, Cell::Array(_))
                    {
                        Cell::Array(self.array(*place)?)
                    } else {
                        Cell::Scalar(self.get(*place)?)
                    }
                }
                other => Cell::Scalar(self.value(other)?),
            });
        }
        locals.resize(function.parameters.len(), Cell::Scalar(Value::Unset));
        let saved = std::mem::replace(&mut self.locals, locals);
        let result = self.block(&function.body);
        self.locals = saved;
        match result {
            Ok(()) => Ok(Value::Unset),
            Err(Jump::Return(value)) => Ok(value),
            Err(other) => Err(other),
        }
    }

    fn getline(&mut self, target: Option<&Expr>, source: &Source) -> Done<Value> {
        let record = match source {
            Source::Main => self.next_record()?,
            Source::File(name) => {
                let name = self.bytes(name)?;
                if !self.readers.contains_key(&*name) {
                    let mut status = 0;
                    let bytes = super::super::text::bytes_of(self.shell, self.words, &name, &mut status)?;
                    let Some(bytes) = bytes else { return Ok(Value::Number(-1.0)) };
                    self.readers.insert(name.to_vec(), Reader::new(bytes));
                }
                self.read_named(&name)?
            }
            Source::Command(command) => {
                let command = self.bytes(command)?;
                if !self.readers.contains_key(&*command) {
                    self.flush()?;
                    let bytes = self.shell.output_of(&command)?;
                    self.readers.insert(command.to_vec(), Reader::new(bytes));
                }
                let record = self.read_named(&command)?;
                if record.is_some() {
                    let now = self.get(Place::Global(NR))?.number();
                    self.set_special(NR, Value::Number(now + 1.0));
                }
                record
            }
        };
        let Some(record) = record else { return Ok(Value::Number(0.0)) };
        match target {
            Some(target) => self.store(target, Value::Input(record.into()))?,
            None => self.set_record(&record),
        }
        Ok(Value::Number(1.0))
    }

    fn read_named(&mut self, name: &[u8]) -> Done<Option<Vec<u8>>> {
        let separator = self.separator()?;
        let record = self.readers.get_mut(name).and_then(|reader| reader.next(&separator));
        self.charge(record.as_ref().map_or(0, Vec::len))?;
        Ok(record)
    }
}
