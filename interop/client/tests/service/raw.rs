//! A client that sends whatever bytes it is given.

use http::uri::PathAndQuery;
use prost::bytes::{Buf, BufMut};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A connection.
pub(crate) struct Raw(Grpc<Channel>);

impl Raw {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
        Self(Grpc::new(endpoint.unwrap().connect().await.unwrap()))
    }

    pub(crate) async fn call(&mut self, method: &str, request: &[u8]) -> Result<Vec<u8>, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::try_from(format!("/mls_client.MLSClient/{method}")).unwrap();
        let request = Request::new(request.to_vec());
        Ok(self.0.unary(request, path, AsIs).await?.into_inner())
    }
}

struct AsIs;

impl Codec for AsIs {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsIs {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for AsIs {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes.remaining()];
        bytes.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
