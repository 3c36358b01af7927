//! As much of Rust's lexical structure as is needed to tell comments, strings and code apart.

/// A piece of a source file. White space, numbers, characters and lifetimes are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A comment's text without its slashes; adjacent line comments of a kind are one.
    Comment { kind: Comment, text: String },
    /// What is inside of a string.
    Text(String),
    /// A name or a keyword.
    Word(String),
    /// Any other character.
    Mark(char),
}

/// What a comment is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comment {
    /// `///`: what follows.
    Outer,
    /// `//!`: what it is in.
    Inner,
    /// `//`: wherever it stands.
    Plain,
}

/// The tokens of a source file, each with its line.
pub(crate) fn tokens(source: &str) -> Vec<(usize, Token)> {
    let mut lexer = Lexer { rest: source, line: 1, tokens: Vec::new() };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<(usize, Token)>,
}

impl Lexer<'_> {
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.line_comment();
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if let Some(hashes) = raw_string(self.rest) {
            self.raw_string(hashes);
        } else if first == '"' || self.rest.starts_with("b\"") {
            self.string();
        } else if first == '\'' {
            self.quote();
        } else if first.is_alphanumeric() || first == '_' {
            let word = self.take(|c| c.is_alphanumeric() || c == '_');
            if !word.starts_with(|c: char| c.is_ascii_digit()) {
                self.tokens.push((self.line, Token::Word(word)));
            }
        } else {
            if !first.is_whitespace() {
                self.tokens.push((self.line, Token::Mark(first)));
            }
            self.skip(first.len_utf8());
        }
        true
    }

    /// Goes on by so many bytes, counting lines.
    fn skip(&mut self, bytes: usize) -> String {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += skipped.matches('\n').count();
        self.rest = rest;
        skipped.to_owned()
    }

    fn take(&mut self, within: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !within(c)).unwrap_or(self.rest.len());
        self.skip(end)
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let comment = self.take(|c| c != '\n');
        let (kind, text) = if let Some(text) = comment.strip_prefix("//!") {
            (Comment::Inner, text)
        } else if let Some(text) = comment.strip_prefix("///") {
            (Comment::Outer, text)
        } else {
            (Comment::Plain, comment.trim_start_matches('/'))
        };
        if let Some((begun, Token::Comment { kind: before, text: block })) = self.tokens.last_mut()
            && *before == kind
            && *begun + block.matches('\n').count() + 1 == line
        {
            block.push('\n');
            block.push_str(text.trim());
            return;
        }
        self.tokens.push((line, Token::Comment { kind, text: text.trim().to_owned() }));
    }

    fn block_comment(&mut self) {
        let line = self.line;
        let mut text = self.skip(2);
        let mut depth = 1;
        while depth > 0 && !self.rest.is_empty() {
            let piece = match self.rest {
                rest if rest.starts_with("/*") => (1, 2),
                rest if rest.starts_with("*/") => (-1, 2),
                rest => (0, rest.chars().next().map_or(1, char::len_utf8)),
            };
            depth += piece.0;
            text.push_str(&self.skip(piece.1));
        }
        self.tokens.push((line, Token::Comment { kind: Comment::Plain, text }));
    }

    fn string(&mut self) {
        let line = self.line;
        self.take(|c| c != '"');
        self.skip(1);
        let mut text = String::new();
        while let Some(next) = self.rest.chars().next() {
            match next {
                '"' => break,
                '\\' => {
                    self.skip(1);
                    let escaped = self.rest.chars().next().map_or(0, char::len_utf8);
                    self.skip(escaped);
                }
                _ => text.push_str(&self.skip(next.len_utf8())),
            }
        }
        self.skip(1);
        self.tokens.push((line, Token::Text(text)));
    }

    fn raw_string(&mut self, hashes: usize) {
        let line = self.line;
        self.take(|c| c != '"');
        self.skip(1);
        let end = format!("\"{}", "#".repeat(hashes));
        let length = self.rest.find(&end).unwrap_or(self.rest.len());
        let text = self.skip(length);
        self.skip(end.len());
        self.tokens.push((line, Token::Text(text)));
    }

    /// A character or a lifetime.
    fn quote(&mut self) {
        self.skip(1);
        let mut ahead = self.rest.chars();
        match (ahead.next(), ahead.next()) {
            (Some('\\'), Some(escaped)) => {
                self.skip(1 + escaped.len_utf8());
                self.take(|c| c != '\'');
                self.skip(1);
            }
            (Some(character), Some('\'')) => {
                self.skip(character.len_utf8() + 1);
            }
            _ => {
                self.take(|c| c.is_alphanumeric() || c == '_');
            }
        }
    }
}

/// The number of hashes of the raw string that `rest` begins with.
fn raw_string(rest: &str) -> Option<usize> {
    let rest = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let body = rest.trim_start_matches('#');
    body.starts_with('"').then_some(rest.len() - body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> String {
        let name = |(line, token)| match token {
            Token::Comment { kind, text } => format!("{line}:{kind:?}({text})"),
            Token::Text(text) => format!("{line}:\"{text}\""),
            Token::Word(word) => format!("{line}:{word}"),
            Token::Mark(mark) => format!("{line}:{mark}"),
        };
        tokens(source).into_iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_joined_by_kind_and_line() {
        assert_eq!(
            kinds("//! a\n/// b\n/// c\n\n/// d\n// e\nf // g\n// h"),
            "1:Inner(a) 2:Outer(b\nc) 5:Outer(d) 6:Plain(e) 7:f 7:Plain(g\nh)"
        );
        assert_eq!(kinds("/* a /* b */ { */ c"), "1:Plain(/* a /* b */ { */) 1:c");
    }

    #[test]
    fn what_is_in_strings_and_characters_is_no_code() {
        assert_eq!(kinds(r##"a("{ \" // ", r#"}"#, b"x") '{' '\'' '\u{7b}' 'a: 3"##), {
            "1:a 1:( 1:\"{  // \" 1:, 1:\"}\" 1:, 1:\"x\" 1:) 1::"
        });
        assert_eq!(kinds("br\"{\" return bread r"), "1:\"{\" 1:return 1:bread 1:r");
        assert_eq!(kinds("\"a\nb\" c"), "1:\"a\nb\" 2:c");
    }
}
