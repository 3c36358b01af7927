use std::fmt;

/// The key of a row: a sequence of components, such as kind, group, epoch and id.
///
/// Components are bytes of any length. They are written with their lengths before them, so that a
/// prefix of whole components is a prefix of the bytes, and no component runs into the next.
///
/// ```
/// use circlet::storage::Key;
/// let key = Key::new(&[b"tree", b"group id", &7u32.to_be_bytes()]);
/// assert!(key.prefix(2).is_some_and(|prefix| prefix.contains(&key)));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

/// The leading components of a key: stands for every row whose key begins with them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Vec<u8>);

impl Key {
    /// A key of these components.
    #[must_use]
    pub fn new(components: &[&[u8]]) -> Self {
        Self(join(components))
    }

    /// A key from its bytes, as [`Self::as_bytes`] gave them; `None` if they are not a key's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = Self(bytes.to_vec());
        key.split().is_some().then_some(key)
    }

    /// The bytes under which a store keeps the row.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component at `index`.
    #[must_use]
    pub fn component(&self, index: usize) -> Option<&[u8]> {
        self.split()?.get(index).copied()
    }

    /// The first `count` components; `None` if there are fewer.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Option<Prefix> {
        let components = self.split()?;
        components.get(..count).map(Prefix::new)
    }

    fn split(&self) -> Option<Vec<&[u8]>> {
        let mut rest = self.0.as_slice();
        let mut components = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (component, tail) = tail.split_at_checked(length)?;
            components.push(component);
            rest = tail;
        }
        rest.is_empty().then_some(components)
    }
}

impl Prefix {
    /// Every key that begins with these components; with none, every key.
    #[must_use]
    pub fn new(components: &[&[u8]]) -> Self {
        Self(join(components))
    }

    /// The bytes that all keys below this prefix begin with.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a key lies below this prefix.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        key.0.starts_with(&self.0)
    }

    /// No key below this prefix sorts before it.
    pub(super) fn least_key(&self) -> Key {
        Key(self.0.clone())
    }
}

fn join(components: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for component in components {
        // No component in memory comes near 4 GiB: the longest is a group id, bounded by the
        // message that it came in.
        bytes.extend_from_slice(&(component.len() as u32).to_be_bytes());
        bytes.extend_from_slice(component);
    }
    bytes
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_components(&self.0, f)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_components(&self.0, f)
    }
}

fn fmt_components(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", bytes.escape_ascii())
}
