use circlet::codec::{Decode, Encode};
use circlet::crypto::{Rng, Secret, Suite};
use circlet::message::{
    AuthenticatedContent, Commit, Content, FramedContent, FramedContentAuthData, GroupId, Proposal,
    ProposalOrRef, Sender, WireFormat,
};
use circlet::schedule::{confirmed_transcript_hash, interim_transcript_hash};
use circlet::tree::LeafIndex;
use serde::{Deserialize, Serialize};

use super::{At, Env, Failure, Hex, VectorType, expect_bytes, random};

/// Transcript hashes of a Commit (RFC 9420 section 8.2) and its confirmation tag (section 6.1).
pub(crate) struct TranscriptHashes;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    confirmation_key: Hex,
    authenticated_content: Hex,
    interim_transcript_hash_before: Hex,
    confirmed_transcript_hash_after: Hex,
    interim_transcript_hash_after: Hex,
}

impl VectorType for TranscriptHashes {
    const NAME: &'static str = "transcript-hashes";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let suite = env.suite(case.cipher_suite)?;
        let content = AuthenticatedContent::from_bytes(&case.authenticated_content, &env.context)
            .at("authenticated_content")?;
        expect_bytes("authenticated_content", content.to_bytes()?, &case.authenticated_content)?;
        let Content::Commit(_) = &content.content.content else {
            return Err(Failure::missing("authenticated_content.commit"));
        };
        let tag = content.auth.confirmation_tag.as_ref();
        let tag = tag.ok_or_else(|| Failure::missing("authenticated_content.confirmation_tag"))?;

        let input = content.confirmed_transcript_hash_input()?;
        let confirmed =
            confirmed_transcript_hash(&suite, &case.interim_transcript_hash_before, &input)?;
        expect_bytes(
            "confirmed_transcript_hash_after",
            confirmed,
            &case.confirmed_transcript_hash_after,
        )?;
        suite
            .verify_mac(&Secret::new(&case.confirmation_key), &[confirmed.as_bytes()], tag)
            .at("authenticated_content.confirmation_tag")?;
        let interim = interim_transcript_hash(&suite, confirmed.as_bytes(), tag)?;
        expect_bytes("interim_transcript_hash_after", interim, &case.interim_transcript_hash_after)
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let suites = env.suites().into_iter();
        suites.map(|cipher_suite| generate(cipher_suite, &env.suite(cipher_suite)?, rng)).collect()
    }
}

fn generate(cipher_suite: u16, suite: &Suite, rng: &mut dyn Rng) -> Result<Case, Failure> {
    let confirmation_key = random(rng, suite.secret_length())?;
    let before = random(rng, suite.spec().hash.length)?;
    let content = FramedContent {
        group_id: GroupId::new(&random(rng, 32)?),
        epoch: 7,
        sender: Sender::Member(LeafIndex(3)),
        authenticated_data: random(rng, 16)?.to_vec(),
        content: Content::Commit(Commit {
            proposals: vec![ProposalOrRef::Proposal(Box::new(Proposal::Remove(LeafIndex(1))))],
            path: None,
        }),
    };
    // Signed in a group that nobody knows: the vector has no GroupContext.
    let keys = suite.generate_signature_key_pair(rng)?;
    let tbs = content.to_be_signed(WireFormat::PublicMessage, &[])?;
    let signature = suite.sign_with_label(&keys, "FramedContentTBS", &tbs)?;
    let auth = FramedContentAuthData { signature, confirmation_tag: None };
    let mut content =
        AuthenticatedContent { wire_format: WireFormat::PublicMessage, content, auth };

    let input = content.confirmed_transcript_hash_input()?;
    let confirmed = confirmed_transcript_hash(suite, &before, &input)?;
    let tag = suite.mac(&Secret::new(&confirmation_key), &[confirmed.as_bytes()])?;
    let interim = interim_transcript_hash(suite, confirmed.as_bytes(), &tag)?;
    content.auth.confirmation_tag = Some(tag);
    Ok(Case {
        cipher_suite,
        confirmation_key,
        authenticated_content: content.to_bytes()?.into(),
        interim_transcript_hash_before: before,
        confirmed_transcript_hash_after: confirmed.as_bytes().into(),
        interim_transcript_hash_after: interim.as_bytes().into(),
    })
}
