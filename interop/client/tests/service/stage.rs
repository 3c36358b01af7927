//! One call in all its wrong forms, and then as it should be.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use prost::Message;
use tonic::{Code, Status};

use crate::raw::Raw;
use crate::wire::{Mutant, Path, Random, mutants, wholes};

/// A server, and what was tried with it.
pub(crate) struct Stage {
    raw: Raw,
    random: Random,
    pub(crate) methods: BTreeSet<&'static str>,
    pub(crate) refused: usize,
    pub(crate) accepted: usize,
}

/// A good request, and what is known of its fields.
pub(crate) struct Sample<'a> {
    pub(crate) method: &'static str,
    pub(crate) request: Vec<u8>,
    /// Fields in which anything wrong has to be refused.
    pub(crate) strict: &'a [u64],
    /// Fields in which something else may be as good, and would use up what the good request needs.
    pub(crate) free: &'a [u64],
    /// Fields that are messages.
    pub(crate) nested: &'a [&'a [u64]],
}

impl<'a> Sample<'a> {
    pub(crate) fn new(method: &'static str, request: &impl Message, strict: &'a [u64]) -> Self {
        Self { method, request: request.encode_to_vec(), strict, free: &[], nested: &[] }
    }

    pub(crate) fn free(self, free: &'a [u64]) -> Self {
        Self { free, ..self }
    }

    pub(crate) fn nested(self, nested: &'a [&'a [u64]]) -> Self {
        Self { nested, ..self }
    }
}

impl Stage {
    pub(crate) async fn new(address: SocketAddr, seed: u64) -> Self {
        let (raw, random) = (Raw::connect(address).await, Random(seed));
        Self { raw, random, methods: BTreeSet::new(), refused: 0, accepted: 0 }
    }

    /// Sends a request in all its wrong forms. What is wrong in a strict field is refused and changes
    /// nothing: the good request goes through after it. What else is wrong may be as good, but is
    /// answered.
    pub(crate) async fn call<A: Message + Default>(&mut self, sample: Sample<'_>) -> A {
        let Sample { method, request, strict, free, nested } = sample;
        self.methods.insert(method);
        let all = mutants(&request, nested, &mut self.random);
        let is = |fields: &[u64], path: &Path| path.first().is_some_and(|n| fields.contains(n));
        let (later, sooner): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|mutant| is(free, &mutant.path));
        for mutant in sooner {
            let accepted = self.send(method, &mutant).await;
            let Mutant { path, what, .. } = &mutant;
            assert!(!(accepted && is(strict, path)), "{method}, field {path:?}: {what}");
        }
        let answer = self.raw.call(method, &request).await;
        let answer = answer.unwrap_or_else(|status| panic!("{method}: {status:?}"));
        let wholes = wholes(&request, &mut self.random);
        for mutant in later.into_iter().chain(wholes) {
            self.send(method, &mutant).await;
        }
        A::decode(answer.as_slice()).unwrap()
    }

    /// The same for a request that changes what a wrong one could change, too: it goes last.
    pub(crate) async fn call_last<A: Message + Default>(&mut self, sample: Sample<'_>) -> A {
        for mutant in wholes(&sample.request, &mut self.random) {
            self.send(sample.method, &mutant).await;
        }
        let good = Sample { request: sample.request.clone(), ..sample };
        for mutant in mutants(&good.request, good.nested, &mut self.random) {
            let accepted = self.send(good.method, &mutant).await;
            let strict = mutant.path.first().is_some_and(|field| good.strict.contains(field));
            assert!(!(accepted && strict), "{}, {:?}: {}", good.method, mutant.path, mutant.what);
        }
        self.good(good.method, &good.request).await
    }

    /// A good request.
    pub(crate) async fn good<A: Message + Default>(
        &mut self,
        method: &'static str,
        request: &[u8],
    ) -> A {
        self.methods.insert(method);
        let answer = self.raw.call(method, request).await;
        let answer = answer.unwrap_or_else(|status| panic!("{method}: {status:?}"));
        A::decode(answer.as_slice()).unwrap()
    }

    /// Whether a wrong request was accepted. A status that blames nobody in particular would be the
    /// server's fault.
    async fn send(&mut self, method: &str, mutant: &Mutant) -> bool {
        let answer = self.raw.call(method, &mutant.request).await;
        let Err(status) = answer else {
            self.accepted += 1;
            return true;
        };
        self.refused += 1;
        let Mutant { path, what, .. } = mutant;
        assert!(is_answer(&status), "{method}, field {path:?}, {what}: {status:?}");
        false
    }
}

fn is_answer(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::PermissionDenied => true,
        // What is no protocol buffer does not come as far as the service.
        Code::Internal => status.message().contains("decode Protobuf"),
        _ => false,
    }
}
