use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use circlet::Error;
use circlet::codec::{Decode, DecodeContext};
use circlet::crypto::{HashReference, SystemRng};
use circlet::group::{
    ByReference, CommitOutcome, CommitRequest, Framing, GroupState, HandshakeFormat, JoinKeys,
    Judge, LeafTemplate, Opened, PskSource, Settings, StagedCommit, Status,
};
use circlet::identity::{BasicValidator, Credential, SigningKey};
use circlet::message::{ContentType, MlsMessage, Proposal};
use circlet::tree::{Extensions, LeafIndex, Lifetime, RatchetTree};

use super::Fault;
use super::psks::Psks;

/// One actor in one group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) state: GroupState,
    pub(super) signer: SigningKey,
    pub(super) psks: Psks,
    pub(super) handshake: HandshakeFormat,
    /// The proposals of this epoch, one's own among them, by their messages: the runner hands over
    /// each of them with every Commit, also those that can't be read a second time.
    proposals: BTreeMap<Vec<u8>, HashReference>,
    staged: Option<StagedCommit>,
}

/// What a new leaf is made of: a key package with its private keys, and the key that signed it.
#[derive(Clone, Debug)]
pub(super) struct NewLeaf {
    pub(super) keys: JoinKeys,
    pub(super) signer: SigningKey,
}

/// What a Commit shall do.
#[derive(Debug)]
pub(super) struct Plan {
    /// Messages.
    pub(super) by_reference: Vec<Vec<u8>>,
    pub(super) by_value: Vec<Proposal>,
    pub(super) force_path: bool,
    pub(super) external_tree: bool,
}

impl NewLeaf {
    /// With a fresh signature key.
    pub(super) fn generate(settings: &Settings, credential: Credential) -> Result<Self, Fault> {
        let signer = SigningKey::generate(&settings.suite, &mut SystemRng)?;
        let template = template(settings, credential);
        let keys = JoinKeys::generate(settings, template, &signer, &mut SystemRng)?;
        Ok(Self { keys, signer })
    }
}

/// What a leaf says. Its lifetime begins an hour ago, for clocks that differ, and ends early enough
/// for clients that accept three months at most.
pub(super) fn template(settings: &Settings, credential: Credential) -> LeafTemplate {
    let now = now();
    LeafTemplate {
        credential,
        capabilities: LeafTemplate::capabilities(settings),
        lifetime: Lifetime {
            not_before: now.saturating_sub(3600),
            not_after: now.saturating_add(28 * 24 * 3600),
        },
        extensions: Extensions::new(),
    }
}

/// Accepts basic credentials, and key packages that are in time.
pub(super) fn judge(psks: &dyn PskSource) -> Judge<'_> {
    Judge { validator: &BasicValidator, psks, now: Some(now()) }
}

/// The format of one's proposals and Commits.
pub(super) fn handshake(encrypt: bool) -> HandshakeFormat {
    if encrypt { HandshakeFormat::Private } else { HandshakeFormat::Public }
}

/// The first leaf with this identity: several may have it.
pub(super) fn leaf_of(tree: &RatchetTree, identity: &[u8]) -> Result<LeafIndex, Fault> {
    let mut members = tree.members();
    let found = members.find(|(_, leaf)| leaf.credential.identity() == Some(identity));
    found.map(|(index, _)| index).ok_or(Fault::NoMember)
}

impl Member {
    pub(super) fn new(
        state: GroupState,
        signer: SigningKey,
        psks: Psks,
        handshake: HandshakeFormat,
    ) -> Self {
        Self { state, signer, psks, handshake, proposals: BTreeMap::new(), staged: None }
    }

    pub(super) fn settings(&self) -> &Settings {
        self.state.settings()
    }

    pub(super) fn epoch_authenticator(&self) -> Vec<u8> {
        self.state.epoch_authenticator().as_bytes().to_vec()
    }

    /// One's own credential, for a leaf in another group.
    pub(super) fn credential(&self) -> Result<Credential, Fault> {
        let own = self.state.member(self.state.own_leaf());
        Ok(own.ok_or(Fault::Removed)?.credential)
    }

    pub(super) fn propose(&mut self, proposal: Proposal) -> Result<Vec<u8>, Fault> {
        let (framing, judge) = (self.framing(), judge(&self.psks));
        let made = self.state.propose(proposal, &judge, &framing, &self.signer, &mut SystemRng)?;
        self.proposed(made)
    }

    pub(super) fn propose_update(&mut self) -> Result<Vec<u8>, Fault> {
        let framing = self.framing();
        let made = self.state.propose_update(&framing, &self.signer, &mut SystemRng)?;
        self.proposed(made)
    }

    fn proposed(
        &mut self,
        (message, reference, step): (Vec<u8>, HashReference, circlet::group::Step),
    ) -> Result<Vec<u8>, Fault> {
        self.state.apply(step)?;
        self.proposals.insert(message.clone(), reference);
        Ok(message)
    }

    /// Makes a Commit of exactly these proposals. It waits; one that waited before is forgotten.
    pub(super) fn commit(&mut self, plan: Plan, closes: bool) -> Result<&StagedCommit, Fault> {
        let by_reference = self.hear(plan.by_reference)?;
        let request = CommitRequest {
            by_value: plan.by_value,
            by_reference: ByReference::Exactly(by_reference),
            force_path: plan.force_path,
            tree_in_welcome: !plan.external_tree,
            framing: self.framing(),
            ..CommitRequest::default()
        };
        let judge = judge(&self.psks);
        let (staged, step) = self.state.commit(request, &judge, &self.signer, &mut SystemRng)?;
        ensure_closes(staged.outcome(), closes)?;
        self.state.apply(step)?;
        Ok(self.staged.insert(staged))
    }

    /// The Commit that waits was accepted.
    pub(super) fn confirm(&mut self, closes: bool) -> Result<(), Fault> {
        let staged = self.staged.as_ref().ok_or(Fault::NoPendingCommit)?;
        ensure_closes(staged.outcome(), closes)?;
        let staged = self.staged.take().ok_or(Fault::NoPendingCommit)?;
        let (_, step) = self.state.confirm(staged)?;
        self.state.apply(step)?;
        self.proposals.clear();
        Ok(())
    }

    /// Follows somebody else's Commit.
    pub(super) fn follow(
        &mut self,
        proposals: Vec<Vec<u8>>,
        commit: &[u8],
        closes: bool,
    ) -> Result<(), Fault> {
        self.hear(proposals)?;
        let message = self.read(commit)?;
        let opened = match self.state.open(message, Some(now()))? {
            Opened::Commit(opened) => opened,
            Opened::Own(ContentType::Commit) => return self.hear_own(commit, closes),
            _ => return Err(Fault::NotA("Commit")),
        };
        let reviewed = opened.review(&BasicValidator)?;
        let (outcome, step) = self.state.process(reviewed, &self.psks)?;
        ensure_closes(&outcome, closes)?;
        self.state.apply(step)?;
        if outcome.removes_own {
            return Err(Fault::Removed);
        }
        self.proposals.clear();
        self.staged = None;
        Ok(())
    }

    /// One's own Commit came back: it was accepted, if it is the one that waits.
    fn hear_own(&mut self, commit: &[u8], closes: bool) -> Result<(), Fault> {
        match &self.staged {
            Some(staged) if staged.message() == commit => self.confirm(closes),
            _ => Err(Fault::NoPendingCommit),
        }
    }

    /// Takes note of proposals, each once, and gives their references.
    fn hear(&mut self, messages: Vec<Vec<u8>>) -> Result<Vec<HashReference>, Fault> {
        messages.into_iter().map(|message| self.hear_one(message)).collect()
    }

    fn hear_one(&mut self, bytes: Vec<u8>) -> Result<HashReference, Fault> {
        if let Some(reference) = self.proposals.get(&bytes) {
            return Ok(reference.clone());
        }
        let Opened::Proposal(opened) = self.state.open(self.read(&bytes)?, Some(now()))? else {
            return Err(Fault::NotA("proposal of somebody else"));
        };
        let (reference, step) = opened.review(&self.state, &BasicValidator)?;
        self.state.apply(step)?;
        self.proposals.insert(bytes, reference.clone());
        Ok(reference)
    }

    /// Encrypts application data. Which proposals are committed is the runner's business, so that
    /// those that wait are no reason to refuse.
    pub(super) fn protect(
        &mut self,
        authenticated_data: Vec<u8>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let framing = Framing { authenticated_data, ..Framing::default() };
        let (message, step) =
            self.state.send(plaintext, &framing, true, &self.signer, &mut SystemRng)?;
        self.state.apply(step)?;
        Ok(message)
    }

    /// Decrypts application data: authenticated data and plaintext.
    pub(super) fn unprotect(&mut self, ciphertext: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        let message = self.read(ciphertext)?;
        let Opened::Application(opened) = self.state.open(message, Some(now()))? else {
            return Err(Fault::NotA("application message of somebody else"));
        };
        let (message, step) = opened.accept();
        self.state.apply(step)?;
        Ok((message.authenticated_data, message.data))
    }

    /// Whether this is a member still: whoever was removed has no secrets.
    pub(super) fn ensure_member(&self) -> Result<(), Fault> {
        if self.state.status() == Status::Removed { Err(Fault::Removed) } else { Ok(()) }
    }

    fn framing(&self) -> Framing {
        Framing { handshake: self.handshake, ..Framing::default() }
    }

    fn read(&self, bytes: &[u8]) -> Result<MlsMessage, Fault> {
        Ok(MlsMessage::read(bytes, &self.settings().context)?)
    }
}

/// Whether a Commit closes the group, where it should.
fn ensure_closes(outcome: &CommitOutcome, closes: bool) -> Result<(), Fault> {
    if closes && outcome.reinit.is_none() { Err(Fault::NotReinit) } else { Ok(()) }
}

/// Reads a message of the kind that `pick` takes.
pub(super) fn read_message<T>(
    bytes: &[u8],
    context: &DecodeContext,
    kind: &'static str,
    pick: impl FnOnce(MlsMessage) -> Option<T>,
) -> Result<T, Fault> {
    pick(MlsMessage::read(bytes, context)?).ok_or(Fault::NotA(kind))
}

/// Reads a structure that is no message.
pub(super) fn read_struct<T: Decode>(bytes: &[u8], context: &DecodeContext) -> Result<T, Fault> {
    Ok(T::from_bytes(bytes, context).map_err(Error::from)?)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
