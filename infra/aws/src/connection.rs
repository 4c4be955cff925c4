//! A connection to an account: who asks, in which region, and the ports over a deployment's resources.
//!
//! Credentials, region and endpoint come from where every AWS tool takes them (`AWS_…` variables, profiles, single
//! sign-on, the function's role). Nothing here calls AWS but for credentials.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sts::config::ProvideCredentials;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::client::HttpConnector;
use object_store::{CredentialProvider, ObjectStore};
use tidemill_ports::{Context, Error, FOLD_BYTES_DEFAULT, SystemClock, Table};

use crate::blobs::TwoTier;
use crate::queue::SqsQueue;
use crate::schedule::{SchedulerGroup, Targets};
use crate::settings::Settings;
use crate::stack::Cloud;
use crate::table::{DynamoTable, Feed};

/// Times a call that may be repeated is sent.
const ATTEMPTS_MAX: u32 = 5;
/// How long one sending of a call may take, in seconds.
const ATTEMPT_SECONDS_MAX: u64 = 8;
/// How long a call may take with all its attempts, in seconds: sends rely on no call having an effect after 30.
pub(crate) const CALL_SECONDS_MAX: u64 = 25;
/// How long a connection may take, in seconds.
const CONNECT_SECONDS_MAX: u64 = 3;

/// An account, a region, credentials.
#[derive(Clone, Debug)]
pub struct Connection {
    config: SdkConfig,
}

/// A deployment's ports.
pub struct Stores {
    /// The ports.
    pub context: Context,
    /// The event table's stream, for those whom it is delivered to.
    pub feed: Arc<Feed>,
    /// The queue of requests, for those whom its messages are delivered to.
    pub requests: Arc<SqsQueue>,
}

impl Connection {
    /// As the environment says; `region` where it is not to say.
    pub async fn open(region: Option<String>) -> Connection {
        Connection { config: defaults(region).load().await }
    }

    /// The one a deployment was looked up with.
    pub fn of(cloud: &Cloud) -> Connection {
        Connection { config: cloud.config().clone() }
    }

    /// To one endpoint for every service, with a key's id and secret: an emulator.
    pub async fn to(endpoint: &str, region: &str, (id, secret): (&str, &str)) -> Connection {
        let credentials = aws_sdk_sts::config::Credentials::new(id, secret, None, None, "given");
        let loader = defaults(Some(region.to_owned())).endpoint_url(endpoint).credentials_provider(credentials);
        Connection { config: loader.load().await }
    }

    /// What clients of services are made of.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// A bucket; `connector`: what carries its requests, where it is not the usual one.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the bucket's name or the configuration is no good.
    pub fn bucket(&self, name: &str, connector: Option<Arc<dyn HttpConnector>>) -> Result<Arc<dyn ObjectStore>, Error> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_credentials(Arc::new(Credentials { config: self.config.clone() }))
            .with_s3_express(name.ends_with("--x-s3"));
        if let Some(region) = self.config.region() {
            builder = builder.with_region(region.to_string());
        }
        if let Some(endpoint) = self.config.endpoint_url() {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(connector) = connector {
            builder = builder.with_http_connector(Carried(connector));
        }
        let bucket = builder.build().map_err(|why| Error::Invalid(format!("bucket {name}: {why}")))?;
        Ok(Arc::new(bucket))
    }

    /// The ports over the resources `settings` names.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a name is no good.
    pub fn stores(&self, settings: &Settings) -> Result<Stores, Error> {
        let truth = self.bucket(&settings.bucket, None)?;
        let blobs: Arc<dyn ObjectStore> = match &settings.fast_bucket {
            Some(fast) => Arc::new(TwoTier::new(truth, self.bucket(fast, None)?)),
            None => truth,
        };
        let tables = aws_sdk_dynamodb::Client::new(&self.config);
        let once = aws_sdk_dynamodb::config::Builder::from(&self.config).retry_config(RetryConfig::disabled()).build();
        let once = aws_sdk_dynamodb::Client::from_conf(once);
        let table = |name: &String, feed| DynamoTable::new(name.clone(), tables.clone(), once.clone(), feed);
        let items: Arc<dyn Table> = Arc::new(table(&settings.items_table, None));
        let streams = aws_sdk_dynamodbstreams::Client::new(&self.config);
        let feed = Feed::new(streams, tables.clone(), settings.events_table.clone(), Arc::clone(&items));
        let feed = Arc::new(feed);
        let requests = Arc::new(SqsQueue::new(
            aws_sdk_sqs::Client::new(&self.config),
            settings.requests_url.clone(),
            settings.dead_letters_url.clone(),
        ));
        let targets = Targets {
            dispatcher_arn: settings.dispatcher_arn.clone(),
            upkeep_arn: settings.upkeep_arn.clone(),
            role_arn: settings.schedule_role_arn.clone(),
        };
        let scheduler = aws_sdk_scheduler::Client::new(&self.config);
        let context = Context {
            clock: Arc::new(SystemClock),
            events: Arc::new(table(&settings.events_table, Some(Arc::clone(&feed)))),
            items,
            blobs,
            requests: Arc::clone(&requests) as _,
            schedule: Arc::new(SchedulerGroup::new(scheduler, settings.schedule_group.clone(), targets)),
            fold_bytes_max: FOLD_BYTES_DEFAULT,
            deadline: None,
        };
        Ok(Stores { context, feed, requests })
    }
}

/// What every client is made with.
pub(crate) fn defaults(region: Option<String>) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
        .operation_attempt_timeout(Duration::from_secs(ATTEMPT_SECONDS_MAX))
        .operation_timeout(Duration::from_secs(CALL_SECONDS_MAX))
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .timeout_config(timeouts);
    match region {
        Some(region) => loader.region(Region::new(region)),
        None => loader,
    }
}

/// The SDK's credentials for the object store.
#[derive(Debug)]
struct Credentials {
    config: SdkConfig,
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let refused =
            |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "S3", source };
        let provider = self.config.credentials_provider().ok_or_else(|| refused("no credentials".into()))?;
        // The provider keeps what it got until it is about to expire.
        let credentials = provider.provide_credentials().await.map_err(|why| refused(Box::new(why)))?;
        Ok(Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        }))
    }
}

/// A connector that is shared.
#[derive(Debug)]
struct Carried(Arc<dyn HttpConnector>);

impl HttpConnector for Carried {
    fn connect(&self, options: &object_store::ClientOptions) -> object_store::Result<object_store::client::HttpClient> {
        self.0.connect(options)
    }
}
