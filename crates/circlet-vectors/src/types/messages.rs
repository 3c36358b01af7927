use circlet::codec::{Decode, DecodeContext, Encode, Reader, Writer};
use circlet::crypto::{CipherSuite, HashReference, HpkeCiphertext, Mac, Rng, Secret};
use circlet::crypto::{Signature, Suite};
use circlet::group::{JoinKeys, LeafTemplate, Settings};
use circlet::identity::{Credential, SigningKey};
use circlet::message::{
    Commit, Content, ContentType, EncryptedGroupSecrets, FramedContent, FramedContentAuthData,
    GroupContext, GroupId, GroupInfo, GroupSecrets, KeyPackage, MlsMessage, PrivateMessage,
    Proposal, ProposalOrRef, PublicMessage, ReInit, Sender, UpdatePath, UpdatePathNode, Welcome,
    WireFormat,
};
use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use circlet::tree::{
    Extension, ExtensionType, Extensions, LeafIndex, Lifetime, MLS10, ProposalType, RatchetTree,
};
use serde::{Deserialize, Serialize};

use super::{At, Env, Failure, Hex, VectorType, expect_bytes, expect_equal, random};

/// Messages of every kind, which are read and written again and mean nothing.
pub(crate) struct Messages;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    mls_welcome: Hex,
    mls_group_info: Hex,
    mls_key_package: Hex,
    ratchet_tree: Hex,
    group_secrets: Hex,
    add_proposal: Hex,
    update_proposal: Hex,
    remove_proposal: Hex,
    pre_shared_key_proposal: Hex,
    re_init_proposal: Hex,
    external_init_proposal: Hex,
    group_context_extensions_proposal: Hex,
    commit: Hex,
    public_message_application: Hex,
    public_message_proposal: Hex,
    public_message_commit: Hex,
    private_message: Hex,
}

impl VectorType for Messages {
    const NAME: &'static str = "messages";
    type Case = Case;

    fn suite(_: &Case) -> Option<u16> {
        None
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let context = &env.context;
        let message = |field, bytes, wire_format| {
            check_message(bytes, wire_format, context).at(field).map(|_| ())
        };
        message("mls_welcome", &case.mls_welcome, WireFormat::Welcome)?;
        message("mls_group_info", &case.mls_group_info, WireFormat::GroupInfo)?;
        message("mls_key_package", &case.mls_key_package, WireFormat::KeyPackage)?;
        message("private_message", &case.private_message, WireFormat::PrivateMessage)?;

        let public = |field, bytes, content_type| {
            check_public_message(bytes, content_type, context).at(field)
        };
        use ContentType as C;
        public("public_message_application", &case.public_message_application, C::Application)?;
        public("public_message_proposal", &case.public_message_proposal, C::Proposal)?;
        public("public_message_commit", &case.public_message_commit, C::Commit)?;

        check_secrets(&case.group_secrets, context).at("group_secrets")?;
        check_tree(&case.ratchet_tree, context).at("ratchet_tree")?;
        check_commit(&case.commit, context).at("commit")?;

        let proposal =
            |field, bytes, proposal_type| check_proposal(bytes, proposal_type, context).at(field);
        use ProposalType as P;
        proposal("add_proposal", &case.add_proposal, P::ADD)?;
        proposal("update_proposal", &case.update_proposal, P::UPDATE)?;
        proposal("remove_proposal", &case.remove_proposal, P::REMOVE)?;
        proposal("pre_shared_key_proposal", &case.pre_shared_key_proposal, P::PSK)?;
        proposal("re_init_proposal", &case.re_init_proposal, P::REINIT)?;
        proposal("external_init_proposal", &case.external_init_proposal, P::EXTERNAL_INIT)?;
        proposal(
            "group_context_extensions_proposal",
            &case.group_context_extensions_proposal,
            P::GROUP_CONTEXT_EXTENSIONS,
        )
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let mut cases = Vec::new();
        for cipher_suite in env.suites() {
            let settings = env.settings(cipher_suite)?;
            for _ in 0..2 {
                cases.push(Maker::new(&settings, rng)?.case()?);
            }
        }
        Ok(cases)
    }
}

fn check_message(
    bytes: &[u8],
    wire_format: WireFormat,
    context: &DecodeContext,
) -> Result<MlsMessage, Failure> {
    let message = MlsMessage::read(bytes, context)?;
    expect_equal("wire_format", &message.wire_format(), &wire_format)?;
    expect_bytes("encoding", message.to_bytes()?, bytes)?;
    Ok(message)
}

/// Application data in a PublicMessage can be read, too; it is refused later.
fn check_public_message(
    bytes: &[u8],
    content_type: ContentType,
    context: &DecodeContext,
) -> Result<(), Failure> {
    let message = check_message(bytes, WireFormat::PublicMessage, context)?;
    let MlsMessage::Public(message) = message else {
        return Err(Failure::mismatch("wire_format"));
    };
    expect_equal("content_type", &message.content.content.content_type(), &content_type)
}

fn check_secrets(bytes: &[u8], context: &DecodeContext) -> Result<(), Failure> {
    let secrets = GroupSecrets::from_plaintext(bytes, context)?;
    expect_bytes("encoding", &*secrets.to_plaintext()?, bytes)
}

fn check_tree(bytes: &[u8], context: &DecodeContext) -> Result<(), Failure> {
    expect_bytes("encoding", RatchetTree::from_wire(bytes, context)?.to_bytes()?, bytes)
}

fn check_commit(bytes: &[u8], context: &DecodeContext) -> Result<(), Failure> {
    expect_bytes("encoding", Commit::from_bytes(bytes, context)?.to_bytes()?, bytes)
}

/// A proposal without its type.
fn check_proposal(
    bytes: &[u8],
    proposal_type: ProposalType,
    context: &DecodeContext,
) -> Result<(), Failure> {
    let mut reader = Reader::new(bytes, context);
    let proposal = Proposal::decode_body(proposal_type, &mut reader)?;
    reader.finish()?;
    expect_bytes("encoding", body(&proposal)?, bytes)
}

fn body(proposal: &Proposal) -> Result<Hex, Failure> {
    let mut writer = Writer::new();
    proposal.encode_body(&mut writer);
    Ok(writer.finish()?.into())
}

/// Makes messages that are well-formed; those of one member alone are also signed.
struct Maker<'a> {
    suite: &'a Suite,
    rng: &'a mut dyn Rng,
    signer: SigningKey,
    key_package: KeyPackage,
}

impl<'a> Maker<'a> {
    fn new(settings: &'a Settings, rng: &'a mut dyn Rng) -> Result<Self, Failure> {
        let suite = &settings.suite;
        let signer = SigningKey::generate(suite, rng)?;
        let template = LeafTemplate {
            credential: Credential::basic(b"alice"),
            capabilities: LeafTemplate::capabilities(settings),
            lifetime: Lifetime { not_before: 0, not_after: u64::MAX },
            extensions: [Extension {
                extension_type: ExtensionType::APPLICATION_ID,
                data: random(rng, 8)?.to_vec(),
            }]
            .into_iter()
            .collect(),
        };
        let key_package = JoinKeys::generate(settings, template, &signer, rng)?.key_package;
        Ok(Self { suite, rng, signer, key_package })
    }

    fn case(&mut self) -> Result<Case, Failure> {
        let psk = self.psk()?;
        let (reinit, commit) = (self.reinit()?, self.commit(&psk)?);
        let proposals = [
            Proposal::Add(self.key_package.clone()),
            Proposal::Update(self.key_package.leaf_node.clone()),
            Proposal::Remove(LeafIndex(7)),
            Proposal::PreSharedKey(psk.clone()),
            Proposal::ReInit(reinit),
            Proposal::ExternalInit(self.bytes(32)?),
            Proposal::GroupContextExtensions(self.extensions()?),
        ];
        let [add, update, remove, pre_shared_key, re_init, external_init, extensions] = &proposals;
        let public = |maker: &mut Self, content: Content| maker.public_message(content);
        let data = self.bytes(40)?;
        Ok(Case {
            mls_welcome: self.welcome()?,
            mls_group_info: self.group_info()?,
            mls_key_package: message(MlsMessage::KeyPackage(self.key_package.clone()))?,
            ratchet_tree: self.tree()?,
            group_secrets: self.group_secrets(&psk)?,
            add_proposal: body(add)?,
            update_proposal: body(update)?,
            remove_proposal: body(remove)?,
            pre_shared_key_proposal: body(pre_shared_key)?,
            re_init_proposal: body(re_init)?,
            external_init_proposal: body(external_init)?,
            group_context_extensions_proposal: body(extensions)?,
            commit: commit.to_bytes()?.into(),
            public_message_application: public(self, Content::Application(data))?,
            public_message_proposal: public(self, Content::Proposal(add.clone()))?,
            public_message_commit: public(self, Content::Commit(commit))?,
            private_message: self.private_message()?,
        })
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        Ok(random(self.rng, length)?.0)
    }

    /// As many bytes as the suite's secrets have.
    fn secret(&mut self) -> Result<Vec<u8>, Failure> {
        self.bytes(self.suite.secret_length())
    }

    fn group_id(&mut self) -> Result<GroupId, Failure> {
        Ok(GroupId::new(&self.bytes(16)?))
    }

    fn extensions(&mut self) -> Result<Extensions, Failure> {
        let data = self.bytes(5)?;
        Ok([Extension { extension_type: ExtensionType(0xff01), data }].into_iter().collect())
    }

    fn psk(&mut self) -> Result<PreSharedKeyId, Failure> {
        let psk = Psk::Resumption {
            usage: ResumptionPskUsage::Application,
            psk_group_id: self.bytes(16)?,
            psk_epoch: 3,
        };
        Ok(PreSharedKeyId { psk, psk_nonce: self.secret()? })
    }

    fn reinit(&mut self) -> Result<ReInit, Failure> {
        Ok(ReInit {
            group_id: self.group_id()?,
            version: MLS10,
            cipher_suite: self.suite.id(),
            extensions: self.extensions()?,
        })
    }

    fn ciphertext(&mut self) -> Result<HpkeCiphertext, Failure> {
        let kem_output = self.bytes(self.suite.spec().kem.output_length)?;
        Ok(HpkeCiphertext { kem_output, ciphertext: self.bytes(48)? })
    }

    fn commit(&mut self, psk: &PreSharedKeyId) -> Result<Commit, Failure> {
        let reference = HashReference::new(&self.bytes(self.suite.spec().hash.length)?);
        let node = UpdatePathNode {
            encryption_key: self.suite.generate_key_pair(self.rng)?.public,
            encrypted_path_secret: vec![self.ciphertext()?, self.ciphertext()?],
        };
        Ok(Commit {
            proposals: vec![
                ProposalOrRef::Reference(reference),
                ProposalOrRef::Proposal(Box::new(Proposal::PreSharedKey(psk.clone()))),
            ],
            path: Some(Box::new(UpdatePath {
                leaf_node: self.key_package.leaf_node.clone(),
                nodes: vec![node],
            })),
        })
    }

    fn welcome(&mut self) -> Result<Hex, Failure> {
        let entry = EncryptedGroupSecrets {
            new_member: self.key_package.reference(self.suite)?,
            encrypted_group_secrets: self.ciphertext()?,
        };
        message(MlsMessage::Welcome(Welcome {
            cipher_suite: self.suite.id(),
            secrets: vec![entry],
            encrypted_group_info: self.bytes(120)?,
        }))
    }

    fn group_info(&mut self) -> Result<Hex, Failure> {
        let context = GroupContext {
            cipher_suite: CipherSuite(self.suite.id().0),
            group_id: self.group_id()?,
            epoch: 41,
            tree_hash: self.secret()?,
            confirmed_transcript_hash: self.secret()?,
            extensions: self.extensions()?,
        };
        let extensions = self.extensions()?;
        let tag = Mac(self.secret()?);
        let group_info = GroupInfo::sign(context, extensions, tag, LeafIndex(0), &self.signer)?;
        message(MlsMessage::GroupInfo(group_info))
    }

    /// Two members with a blank between them and a third.
    fn tree(&mut self) -> Result<Hex, Failure> {
        let leaf = &self.key_package.leaf_node;
        let mut tree = RatchetTree::new(leaf.clone());
        for _ in 0..2 {
            tree.add(leaf.clone(), 4)?;
        }
        tree.remove(LeafIndex(1))?;
        Ok(tree.to_bytes()?.into())
    }

    fn group_secrets(&mut self, psk: &PreSharedKeyId) -> Result<Hex, Failure> {
        let secrets = GroupSecrets {
            joiner_secret: Secret::new(&self.secret()?),
            path_secret: Some(Secret::new(&self.secret()?)),
            psks: vec![psk.clone()],
        };
        Ok(secrets.to_plaintext()?.to_vec().into())
    }

    fn public_message(&mut self, content: Content) -> Result<Hex, Failure> {
        let is_commit = content.content_type() == ContentType::Commit;
        let confirmation_tag = if is_commit { Some(Mac(self.secret()?)) } else { None };
        let message_content = FramedContent {
            group_id: self.group_id()?,
            epoch: 41,
            sender: Sender::Member(LeafIndex(1)),
            authenticated_data: self.bytes(10)?,
            content,
        };
        let signature = Signature(self.bytes(64)?);
        message(MlsMessage::Public(PublicMessage {
            content: message_content,
            auth: FramedContentAuthData { signature, confirmation_tag },
            membership_tag: Some(Mac(self.secret()?)),
        }))
    }

    fn private_message(&mut self) -> Result<Hex, Failure> {
        message(MlsMessage::Private(PrivateMessage {
            group_id: self.group_id()?,
            epoch: 41,
            content_type: ContentType::Application,
            authenticated_data: self.bytes(10)?,
            encrypted_sender_data: self.bytes(28)?,
            ciphertext: self.bytes(150)?,
        }))
    }
}

fn message(message: MlsMessage) -> Result<Hex, Failure> {
    Ok(message.to_bytes()?.into())
}
