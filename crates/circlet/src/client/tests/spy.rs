//! A provider that remembers which secret it made of which other one, and which keys were used.
//!
//! HKDF, HPKE and AEADs being one-way, what somebody can compute who holds some secrets is what
//! the members computed from them: reachability in the graph that all providers of a test record
//! together. A secret is a node, an operation an edge.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::crypto::providers::DefaultProvider;
use crate::crypto::{
    AeadId, CryptoError, Digest, HashId, HpkeKeyPair, HpkePublicKey, KdfId, KemId, Secret,
    SignatureId, SignatureKeyPair, WeakSecret,
};
use crate::testing::{Hooks, Spying};

/// What the providers of one test have recorded together.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Graph>>);

/// A number for each secret.
type Node = usize;

#[derive(Default)]
struct Graph {
    secrets: Vec<Vec<u8>>,
    by_bytes: HashMap<Vec<u8>, Node>,
    /// By their first bytes, to find secrets in other bytes.
    by_start: HashMap<[u8; START], Vec<Node>>,
    /// What comes of a secret, and what else that takes.
    edges: Vec<Vec<(Option<Node>, Node)>>,
    sealed: Vec<Sealed>,
    /// What was decrypted.
    opened: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

/// No secret is shorter: an AEAD nonce has 12 bytes.
const START: usize = 8;

impl Graph {
    fn node(&mut self, bytes: &[u8]) -> Option<Node> {
        // A secret of zeros stands for none (RFC 9420 section 8).
        let start = bytes.first_chunk::<START>().filter(|_| bytes.iter().any(|byte| *byte != 0))?;
        if let Some(node) = self.by_bytes.get(bytes) {
            return Some(*node);
        }
        let node = self.secrets.len();
        self.secrets.push(bytes.to_vec());
        self.by_bytes.insert(bytes.to_vec(), node);
        self.by_start.entry(*start).or_default().push(node);
        self.edges.push(Vec::new());
        Some(node)
    }

    fn edge(&mut self, from: &[u8], to: &[u8]) {
        if let (Some(from), Some(to)) = (self.node(from), self.node(to)) {
            self.edges[from].push((None, to));
        }
    }

    /// The secrets that are somewhere in these bytes.
    fn found_in(&self, bytes: &[u8]) -> BTreeSet<Node> {
        let at = |(i, start): (usize, &[u8])| {
            let nodes = self.by_start.get(start)?.iter();
            let here = nodes.filter(move |node| bytes[i..].starts_with(&self.secrets[**node]));
            Some(here.copied().collect::<Vec<_>>())
        };
        bytes.windows(START).enumerate().filter_map(at).flatten().collect()
    }

    /// Everything that can be computed from these secrets and all messages that ever travelled.
    fn closure(&self, known: BTreeSet<Node>) -> BTreeSet<Node> {
        let mut waiting: Vec<Node> = known.iter().copied().collect();
        let mut known = known;
        while let Some(node) = waiting.pop() {
            let plaintexts = self.opened.get(&self.secrets[node]).into_iter().flatten();
            let inside = plaintexts.flat_map(|plaintext| self.found_in(plaintext));
            let made = self.edges[node]
                .iter()
                .filter(|(other, _)| other.is_none_or(|other| known.contains(&other)))
                .map(|(_, to)| *to);
            let new: Vec<Node> = inside.chain(made).collect();
            waiting.extend(new.into_iter().filter(|node| known.insert(*node)));
        }
        known
    }
}

impl Record {
    /// What somebody can compute who has these bytes and has seen all messages.
    pub(crate) fn derivable<'a>(&self, holdings: impl Iterator<Item = &'a [u8]>) -> Derivable {
        let graph = self.0.lock().unwrap();
        let known = holdings.flat_map(|bytes| graph.found_in(bytes)).collect();
        let known = graph.closure(known);
        Derivable(known.into_iter().map(|node| graph.secrets[node].clone()).collect())
    }

    /// Every secret that was ever made or used.
    pub(crate) fn secrets(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().secrets.clone()
    }

    /// All encryptions, in their order.
    pub(crate) fn sealed(&self) -> Vec<Sealed> {
        self.0.lock().unwrap().sealed.clone()
    }
}

/// An encryption.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) key: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    /// Whether it was of a message's content (RFC 9420 section 6.3.1).
    pub(crate) content: bool,
}

/// Secrets that somebody can compute.
pub(crate) struct Derivable(BTreeSet<Vec<u8>>);

impl Derivable {
    pub(crate) fn has(&self, secret: &[u8]) -> bool {
        self.0.contains(secret)
    }
}

/// A provider of one member.
pub(crate) type Spy = Spying<DefaultProvider, Recorder>;

/// What a [`Spy`] remembers.
pub(crate) struct Recorder {
    record: Record,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    made: Vec<Made>,
    /// The keys of contents that were encrypted or decrypted.
    content_keys: BTreeSet<Vec<u8>>,
}

/// A secret that a [`Spy`] made.
#[derive(Clone)]
pub(crate) struct Made {
    /// The label of ExpandWithLabel, or what else made it.
    pub(crate) label: String,
    pub(crate) bytes: Vec<u8>,
    weak: WeakSecret,
}

impl Made {
    pub(crate) fn is_alive(&self) -> bool {
        self.weak.is_alive()
    }
}

impl Spy {
    pub(crate) fn of(record: &Record) -> Arc<Self> {
        let recorder = Recorder { record: record.clone(), used: Mutex::default() };
        Arc::new(Self::new(DefaultProvider::new(), recorder))
    }

    /// The secrets that this provider made and somebody still holds.
    pub(crate) fn alive(&self) -> Vec<Made> {
        let used = self.hooks().used.lock().unwrap();
        used.made.iter().filter(|made| made.is_alive()).cloned().collect()
    }

    /// How many secrets this provider made with this label.
    pub(crate) fn count(&self, label: &str) -> usize {
        let used = self.hooks().used.lock().unwrap();
        used.made.iter().filter(|made| made.label == label).count()
    }

    /// The keys that this member encrypted or decrypted contents with (RFC 9420 section 6.3.1).
    pub(crate) fn content_keys(&self) -> BTreeSet<Vec<u8>> {
        self.hooks().used.lock().unwrap().content_keys.clone()
    }
}

impl Recorder {
    fn made(&self, label: &str, secret: &Secret) {
        let made = Made {
            label: label.to_owned(),
            bytes: secret.as_bytes().to_vec(),
            weak: secret.downgrade(),
        };
        self.used.lock().unwrap().made.push(made);
    }

    fn edge(&self, from: &[u8], to: &Secret) {
        self.record.0.lock().unwrap().edge(from, to.as_bytes());
    }

    fn use_key(&self, key: &[u8], nonce: &[u8], aad: &[u8]) {
        let mut graph = self.record.0.lock().unwrap();
        graph.node(key);
        graph.node(nonce);
        drop(graph);
        if is_content_aad(aad) {
            self.used.lock().unwrap().content_keys.insert(key.to_vec());
        }
    }
}

/// PrivateContentAAD is SenderDataAAD with more behind it (sections 6.3.1 and 6.3.2); all else is
/// encrypted without. Group ids are shorter than 64 bytes in these tests.
fn is_content_aad(aad: &[u8]) -> bool {
    let Some((length, rest)) = aad.split_first() else { return false };
    let sender_data = usize::from(*length) + 8 + 1;
    assert!(*length < 64 && rest.len() >= sender_data, "neither of the two");
    rest.len() > sender_data
}

/// The label of ExpandWithLabel (section 8), from the beginning of KDFLabel.
fn label_of(info: &[&[u8]]) -> String {
    let head = info.first().copied().unwrap_or_default();
    let label = head.get(3..).and_then(|rest| rest.strip_prefix(b"MLS 1.0 "));
    let label = label.and_then(|rest| rest.get(..usize::from(head[2]) - 8));
    label.map_or_else(|| "HPKE".to_owned(), |label| String::from_utf8_lossy(label).into_owned())
}

impl Hooks for Recorder {
    fn hmac(&self, (_, key, _): (HashId, &[u8], &[&[u8]]), _: Result<&Digest, CryptoError>) {
        self.record.0.lock().unwrap().node(key);
    }

    fn extract(
        &self,
        (_, salt, ikm): (KdfId, &[u8], &[&[u8]]),
        made: Result<&Secret, CryptoError>,
    ) {
        let Ok(secret) = made else { return };
        self.made("extract", secret);
        let mut graph = self.record.0.lock().unwrap();
        let salt = graph.node(salt);
        // HPKE puts labels before its input, which is public or empty.
        let ikm = if let [ikm] = ikm { graph.node(ikm) } else { None };
        if let Some(made) = graph.node(secret.as_bytes()) {
            for (from, other) in [(salt, ikm), (ikm, salt)] {
                if let Some(from) = from {
                    graph.edges[from].push((other, made));
                }
            }
        }
    }

    fn expand(
        &self,
        (_, key, info, _): (KdfId, &[u8], &[&[u8]], usize),
        made: Result<&Secret, CryptoError>,
    ) {
        let Ok(secret) = made else { return };
        self.made(&label_of(info), secret);
        self.edge(key, secret);
    }

    fn seal(
        &self,
        (_, key, nonce, aad, plaintext): (AeadId, &[u8], &[u8], &[u8], &[u8]),
        _: Result<&Vec<u8>, CryptoError>,
    ) {
        self.use_key(key, nonce, aad);
        let mut graph = self.record.0.lock().unwrap();
        let content = is_content_aad(aad);
        graph.sealed.push(Sealed { key: key.to_vec(), nonce: nonce.to_vec(), content });
        graph.opened.entry(key.to_vec()).or_default().push(plaintext.to_vec());
    }

    fn open(
        &self,
        (_, key, nonce, aad, _): (AeadId, &[u8], &[u8], &[u8], &[u8]),
        opened: Result<&Vec<u8>, CryptoError>,
    ) {
        if opened.is_ok() {
            self.use_key(key, nonce, aad);
        }
    }

    fn derive_key_pair(&self, (_, ikm): (KemId, &[u8]), made: Result<&HpkeKeyPair, CryptoError>) {
        let Ok(keys) = made else { return };
        self.made("private key", keys.private.secret());
        self.edge(ikm, keys.private.secret());
    }

    fn import_private_key(&self, _: (KemId, &[u8]), made: Result<&HpkeKeyPair, CryptoError>) {
        let Ok(keys) = made else { return };
        self.made("private key", keys.private.secret());
    }

    fn encapsulate(
        &self,
        (_, _, seed): (KemId, &HpkePublicKey, &Secret),
        made: Result<&(Vec<u8>, Secret), CryptoError>,
    ) {
        let Ok((_, shared)) = made else { return };
        self.made("shared secret", shared);
        self.edge(seed.as_bytes(), shared);
    }

    fn decapsulate(
        &self,
        (_, keys, _): (KemId, &HpkeKeyPair, &[u8]),
        made: Result<&Secret, CryptoError>,
    ) {
        let Ok(shared) = made else { return };
        self.made("shared secret", shared);
        self.edge(keys.private.secret().as_bytes(), shared);
    }

    fn derive_signature_key_pair(
        &self,
        (_, seed): (SignatureId, &Secret),
        made: Result<&SignatureKeyPair, CryptoError>,
    ) {
        let Ok(keys) = made else { return };
        self.made("signature key", keys.private.secret());
        self.edge(seed.as_bytes(), keys.private.secret());
    }

    fn import_signature_key(
        &self,
        _: (SignatureId, &[u8]),
        made: Result<&SignatureKeyPair, CryptoError>,
    ) {
        let Ok(keys) = made else { return };
        self.made("signature key", keys.private.secret());
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}
