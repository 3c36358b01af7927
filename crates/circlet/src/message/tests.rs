use super::*;
use crate::codec::{CustomProposal, Decode, DecodeContext, DecodeError, Encode};
use crate::tree::{LeafIndex, ProposalType};

fn context() -> DecodeContext {
    DecodeContext::default()
}

#[test]
fn closed_enumerations_refuse_zero_and_the_next_value() {
    for value in [0, 4] {
        let expected = DecodeError::UnknownValue { kind: "ContentType", value: value.into() };
        assert_eq!(ContentType::from_bytes(&[value], &context()), Err(expected));
    }
    for value in [0, 5] {
        let expected = DecodeError::UnknownValue { kind: "SenderType", value: value.into() };
        assert_eq!(Sender::from_bytes(&[value], &context()), Err(expected));
    }
    for value in [0, 3] {
        let expected = DecodeError::UnknownValue { kind: "ProposalOrRefType", value: value.into() };
        assert_eq!(ProposalOrRef::from_bytes(&[value], &context()), Err(expected));
    }
    for value in [0, 6, 0xffff] {
        let [a, b] = u16::to_be_bytes(value);
        let error = MlsMessage::read(&[0, 1, a, b], &context());
        assert_eq!(error, Err(DecodeError::UnsupportedWireFormat(value)));
    }
}

#[test]
fn a_proposal_type_that_nobody_registered_is_named() {
    let bytes = [0x0a, 0x0a, 2, 7, 7];
    let refused = Proposal::from_bytes(&bytes, &context());
    assert_eq!(refused, Err(DecodeError::UnsupportedProposal(0x0a0a)));

    let mut registered = context();
    registered.proposal_types.insert(0x0a0a, CustomProposal::default());
    let proposal = Proposal::from_bytes(&bytes, &registered).unwrap();
    let expected = Proposal::Custom { proposal_type: ProposalType(0x0a0a), body: vec![7, 7] };
    assert_eq!(proposal, expected);
    assert_eq!(proposal.to_bytes().unwrap(), bytes);
}

#[test]
fn the_reserved_proposal_type_is_refused() {
    let refused = Proposal::from_bytes(&[0, 0, 0], &context());
    assert_eq!(refused, Err(DecodeError::UnsupportedProposal(0)));
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_read() {
    let mut short = context();
    short.limits.message_bytes = 3;
    let error = MlsMessage::read(&[9; 4], &short);
    assert_eq!(error, Err(DecodeError::MessageTooLong { limit: 3, actual: 4 }));
}

#[test]
fn padding_of_any_length_is_zero() {
    let content = PrivateContent {
        content: Content::Proposal(Proposal::Remove(LeafIndex(3))),
        auth: FramedContentAuthData {
            signature: crate::crypto::Signature(vec![1, 2]),
            confirmation_tag: None,
        },
    };
    for padding in [0, 1, 256] {
        let mut bytes = content.to_plaintext(padding).unwrap();
        let read =
            |bytes: &[u8]| PrivateContent::from_plaintext(ContentType::Proposal, bytes, &context());
        assert_eq!(read(&bytes).as_ref(), Ok(&content));
        if padding > 0 {
            for place in [bytes.len() - padding, bytes.len() - 1] {
                bytes[place] = 1;
                assert_eq!(read(&bytes), Err(DecodeError::NonZeroPadding));
                bytes[place] = 0;
            }
        }
    }
}
