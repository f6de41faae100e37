//! The hops of all flows in one table, finished or while they still answer: who is there, how soon, for which flows. It fits 80
//! columns.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anstyle::Style;
use ase_probes::{hops::Step, knock::Answer, trace::Walk};

use crate::readers::{
    notes::wrapped,
    paper::{DIM, GREEN, Look, PLAIN, Paper, YELLOW, printable},
};

/// Columns of the hop's number, of whoever is there (an IPv6 address has 39), and of the time.
const NUMBER: usize = 4;
const WHO: usize = 40;
const TIME: usize = 10;
/// Columns beside whoever is there; seventeen flows have as many letters.
const BESIDE: usize = NUMBER + 2 + 1 + TIME + 2 + 17;
/// Columns of a name that nobody needs to see more of on one line.
const WIDEST: usize = 80;
/// Lines of a terminal that the hops leave free: the empty one, their heading, what is waited for, and the shell's own.
const FREE: usize = 4;
/// Stands for a blank at which no line is broken.
const HELD: char = '\u{a0}';

/// What the table is made of.
#[derive(Clone, Copy, Debug)]
pub struct Hops<'a> {
    /// HOST:PORT as it was asked.
    pub target: &'a str,
    /// Where the way leads.
    pub address: SocketAddr,
    /// One walk for each flow, as far as it came.
    pub walks: &'a [Walk],
    /// Names of addresses, where they are known.
    pub names: &'a BTreeMap<IpAddr, String>,
}

/// Renders what a terminal shows while hops answer: of a way that is longer than the terminal is high, the far end.
pub fn render_live(hops: &Hops<'_>, look: Look) -> String {
    let (mut top, mut table) = (Paper::new(look), Paper::new(look));
    hops.write_title(&mut top);
    hops.write_rows(&mut table);
    let lines: Vec<&str> = table.text.lines().collect();
    let taken = top.text.lines().count() + FREE;
    let room = look.height.map_or(lines.len(), |height| usize::from(height).saturating_sub(taken).max(1));
    hops.write_heading(&mut top);
    for line in lines.iter().skip(lines.len().saturating_sub(room)) {
        top.text.push_str(line);
        top.text.push('\n');
    }
    top.text
}

/// The letter that stands for a flow.
pub fn letter(number: usize) -> char {
    (b'a'..=b'z').nth(number).map_or('?', char::from)
}

impl Hops<'_> {
    /// Writes where the way leads, and which flow each letter stands for.
    pub(super) fn write_title(&self, paper: &mut Paper) {
        paper.line(0, "", &format!("way to {} at {}", self.target, self.address.ip()), PLAIN);
        let flow = |(number, walk): (usize, &Walk)| {
            format!("{}{HELD}{}{HELD}{}", letter(number), walk.method.label(), walk.source_port)
        };
        let flows: Vec<_> = self.walks.iter().enumerate().map(flow).collect();
        let mut list = Paper::new(paper.look);
        list.line(0, "flows     ", &flows.join(", "), PLAIN);
        paper.text.push_str(&list.text.replace(HELD, " "));
    }

    /// Writes the table.
    pub(super) fn write_table(&self, paper: &mut Paper) {
        self.write_heading(paper);
        self.write_rows(paper);
    }

    fn write_heading(&self, paper: &mut Paper) {
        let width = self.who_width(paper.look);
        paper.text.push_str(&format!("\n{:>NUMBER$}  {:<width$} {:>TIME$}  flows\n", "hop", "who", "time"));
    }

    fn write_rows(&self, paper: &mut Paper) {
        let width = self.who_width(paper.look);
        let hops = self.walks.iter().filter_map(|walk| walk.path.steps.last()).map(|step| step.hop_limit).max();
        (1..=hops.unwrap_or_default()).flat_map(|hop| self.rows(hop)).for_each(|row| row.write(paper, width));
    }

    /// With names there is something to fill a wide terminal with.
    fn who_width(&self, look: Look) -> usize {
        let width = look.width.filter(|_| !self.names.is_empty()).map_or(0, usize::from);
        width.saturating_sub(BESIDE).clamp(WHO, WIDEST)
    }

    /// A row for each answer from a hop, with the flows that got it.
    fn rows(&self, hop: u8) -> Vec<Row> {
        let mut rows: BTreeMap<Who, (Duration, String)> = BTreeMap::new();
        let here = self.walks.iter().zip(0..).filter_map(|(walk, number)| Some((walk.step(hop)?, number)));
        for (step, number) in here.clone() {
            let (best, flows) = rows.entry(Who::of(step)).or_insert((step.knock.elapsed, String::new()));
            *best = (*best).min(step.knock.elapsed);
            flows.push(letter(number));
        }
        let (here, is_one) = (here.count(), rows.len() == 1);
        let row = |(at, (who, (best, flows))): (usize, (Who, (Duration, String)))| Row {
            number: if at == 0 { hop.to_string() } else { String::new() },
            words: self.words(&who),
            style: who.style(),
            time: if who == Who::Nobody { String::new() } else { format!("{:.3} ms", best.as_secs_f64() * 1e3) },
            flows: if is_one && here > 1 { "all".to_owned() } else { flows },
        };
        rows.into_iter().enumerate().map(row).collect()
    }

    fn words(&self, who: &Who) -> String {
        let named = |address: &IpAddr| self.names.get(address).map(|name| format!(" {name}")).unwrap_or_default();
        match who {
            Who::Router(router) => format!("{router}{}", named(router)),
            Who::Peer(what) => format!("{what} as {}{}", self.address.ip(), named(&self.address.ip())),
            Who::Other(words) => words.clone(),
            Who::Nobody => "silent".to_owned(),
        }
    }
}

/// Who answered from a hop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Router(IpAddr),
    Peer(&'static str),
    Other(String),
    Nobody,
}

impl Who {
    fn of(step: &Step) -> Self {
        match &step.knock.answer {
            Answer::Open => Self::Peer("accepts"),
            Answer::Refused => Self::Peer("refuses"),
            Answer::Icmp(icmp) => step.router().map_or_else(|| Self::Other(icmp.to_string()), Self::Router),
            Answer::Silent => Self::Nobody,
            Answer::Unasked(trouble) => Self::Other(format!("not asked: {trouble}")),
        }
    }

    fn style(&self) -> Style {
        match self {
            Self::Router(_) => PLAIN,
            Self::Peer(_) => GREEN,
            Self::Other(_) => YELLOW,
            Self::Nobody => DIM,
        }
    }
}

/// One line of the table, or several where whoever is there has a long name.
struct Row {
    number: String,
    words: String,
    style: Style,
    time: String,
    flows: String,
}

impl Row {
    fn write(&self, paper: &mut Paper, width: usize) {
        for (at, line) in wrapped(&printable(&self.words), width).into_iter().enumerate() {
            let number = if at == 0 { &*self.number } else { "" };
            paper.text.push_str(&format!("{number:>NUMBER$}  "));
            let blank = width - line.chars().count();
            paper.styled(&line, self.style);
            if at == 0 {
                paper.text.push_str(&format!("{:blank$} {:>TIME$}  {}", "", self.time, self.flows));
            }
            paper.text.push('\n');
        }
    }
}
