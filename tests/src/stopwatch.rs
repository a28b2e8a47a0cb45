//! What is asked of the database, how much of it, and how long each request takes.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    config::{
        Builder, ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
        },
    },
    error::BoxError,
};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use serde_json::Value;
use std::{
    mem,
    sync::{Arc, Mutex},
    time::Instant,
};

/// What each request has besides, so that its answer says what it cost.
const ASKING_FOR_UNITS: &str = r#""ReturnConsumedCapacity":"TOTAL","#;

/// Notes each request to the database of the client that it watches.
#[derive(Clone, Debug, Default)]
pub struct Stopwatch(Arc<Mutex<Trips>>);

#[derive(Debug, Default)]
struct Trips {
    /// How many were taken before these.
    taken: usize,
    noted: Vec<Trip>,
}

/// A request to the database, and its answer.
#[derive(Clone, Debug)]
pub struct Trip {
    pub operation: String,
    pub sent: Instant,
    pub answered: Option<Instant>,
    /// Bytes of the request's body.
    pub sent_bytes: usize,
    /// Bytes of the answer's body.
    pub received_bytes: usize,
    /// Items that were looked at, whether or not they were answered.
    pub items: u64,
    /// As the database counts them. What it refuses has none here, though AWS charges for it.
    pub read_units: f64,
    pub write_units: f64,
}

impl Intercept for Stopwatch {
    fn name(&self) -> &'static str {
        "Stopwatch"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let body = str::from_utf8(request.body().bytes().unwrap())?;
        let body = format!("{{{ASKING_FOR_UNITS}{}", body.strip_prefix('{').unwrap());
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = body.into();
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let sent_bytes = context.request().body().bytes().unwrap().len() - ASKING_FOR_UNITS.len();
        let mut trips = self.0.lock().unwrap();
        config.interceptor_state().store_put(TripNumber(trips.taken + trips.noted.len()));
        trips.noted.push(Trip {
            operation,
            sent: Instant::now(),
            answered: None,
            sent_bytes,
            received_bytes: 0,
            items: 0,
            read_units: 0.0,
            write_units: 0.0,
        });
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut trips = self.0.lock().unwrap();
        // It may have been taken meanwhile.
        let index = config.load::<TripNumber>().and_then(|TripNumber(number)| number.checked_sub(trips.taken));
        if let Some(trip) = index.and_then(|index| trips.noted.get_mut(index)) {
            trip.answered = Some(Instant::now());
            if let Some(body) = context.response().and_then(|response| response.body().bytes()) {
                trip.note(serde_json::from_slice(body).unwrap_or_default());
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct TripNumber(usize);

impl Storable for TripNumber {
    type Storer = StoreReplace<Self>;
}

impl Trip {
    fn note(&mut self, mut answer: Value) {
        let units = match answer.as_object_mut().and_then(|answer| answer.remove("ConsumedCapacity")) {
            Some(Value::Array(tables)) => tables.iter().map(capacity_units).sum(),
            Some(table) => capacity_units(&table),
            None => 0.0,
        };
        self.received_bytes = answer.to_string().len();
        match self.operation.as_str() {
            "GetItem" => self.items = answer.get("Item").is_some().into(),
            "Query" => self.items = answer["ScannedCount"].as_u64().unwrap_or_default(),
            "BatchGetItem" => {
                let tables = answer["Responses"].as_object().into_iter().flat_map(|tables| tables.values());
                self.items = tables.map(|items| items.as_array().map_or(0, |items| items.len() as u64)).sum();
            }
            _ => {
                self.write_units = units;
                return;
            }
        }
        self.read_units = units;
    }
}

fn capacity_units(table: &Value) -> f64 {
    table["CapacityUnits"].as_f64().unwrap_or_default()
}

impl Stopwatch {
    /// A client whose requests are noted.
    pub fn watch(&self, sdk_config: &SdkConfig) -> Client {
        Client::from_conf(Builder::from(sdk_config).interceptor(self.clone()).build())
    }

    /// The requests since they were last taken, in the order of their sending.
    pub fn trips(&self) -> Vec<Trip> {
        self.0.lock().unwrap().noted.clone()
    }

    /// The same, and they are taken.
    pub fn take(&self) -> Vec<Trip> {
        let mut trips = self.0.lock().unwrap();
        trips.taken += trips.noted.len();
        mem::take(&mut trips.noted)
    }
}

/// How many of these requests had to follow one another.
pub fn waits(trips: &[Trip]) -> usize {
    let mut trips: Vec<_> = trips.iter().collect();
    trips.sort_by_key(|trip| trip.answered);
    let mut waits = 0;
    let mut waited_until = None;
    for trip in trips {
        if waited_until.is_none_or(|until| trip.sent >= until) {
            waits += 1;
            waited_until = trip.answered;
        }
    }
    waits
}
