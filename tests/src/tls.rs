//! TLS before the local AWS, as clients of the real one meet it.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{fs, net::Ipv4Addr, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

/// The certificates that functions find on Lambda, of about 140 authorities, come from this file or one like it.
const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Takes TLS off connections, and passes them on.
pub struct Terminator {
    pub url: String,
    /// A PEM file of the system's certificates and its own.
    pub certificates: PathBuf,
    _folder: TempDir,
}

impl Terminator {
    /// Passes connections on to an `http://` address.
    pub async fn start(target: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let certificates = folder.path().join("certificates.pem");
        fs::write(&certificates, fs::read_to_string(SYSTEM_CERTIFICATES).unwrap() + &cert.pem()).unwrap();

        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let configuration = ServerConfig::builder().with_no_client_auth();
        let configuration = configuration.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let target = target.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, target) = (acceptor.clone(), target.clone());
                tokio::spawn(async move {
                    connection.set_nodelay(true)?;
                    let mut inside = TcpStream::connect(target).await?;
                    inside.set_nodelay(true)?;
                    tokio::io::copy_bidirectional(&mut acceptor.accept(connection).await?, &mut inside).await
                });
            }
        });
        Self { url, certificates, _folder: folder }
    }
}
