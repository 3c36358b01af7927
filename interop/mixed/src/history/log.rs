//! What happened, in words and bytes.

use std::fmt;

use super::Options;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Line {
    /// In words.
    pub words: String,
    /// The message that was sent.
    pub wire: Vec<u8>,
}

/// A history in which members disagreed.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// Which history.
    pub options: Options,
    /// About what.
    pub what: String,
    /// What happened before.
    pub lines: Vec<Line>,
}

#[derive(Debug, Default)]
pub(super) struct Log(Vec<Line>);

impl Log {
    pub(super) fn say(&mut self, words: impl Into<String>) {
        self.0.push(Line { words: words.into(), wire: Vec::new() });
    }

    pub(super) fn sent(&mut self, words: impl Into<String>, wire: &[u8]) {
        self.0.push(Line { words: words.into(), wire: wire.to_vec() });
    }

    pub(super) fn into_lines(self) -> Vec<Line> {
        self.0
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers: Vec<_> = self.options.peers.iter().map(|peer| peer.name()).collect();
        let (suite, seed) = (self.options.suite, self.options.seed);
        writeln!(f, "suite {suite}, seed {seed}, of {}: {}", peers.join(","), self.what)?;
        for (number, line) in self.lines.iter().enumerate() {
            writeln!(f, "{number:4}  {}", line.words)?;
            if !line.wire.is_empty() {
                writeln!(f, "      {}", Hex(&line.wire))?;
            }
        }
        Ok(())
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
