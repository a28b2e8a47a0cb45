//! Ctrl-C and SIGTERM, while something is changed or a secret is asked for. At all other times they end the tool at once.

use crate::{
    failure::{Failure, Kind},
    output::say,
};
use std::{cell::Cell, future, io};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{OnceCell, watch},
};

/// How many signals there were. They are the process's, and so is this.
static HEARD: OnceCell<watch::Sender<u32>> = OnceCell::const_new();

/// What a change, or a question, hears of signals.
pub struct Interrupts {
    heard: watch::Receiver<u32>,
    is_told: Cell<bool>,
}

impl Interrupts {
    /// From now until this is dropped signals do not end the tool.
    pub async fn listen() -> Result<Self, Failure> {
        let heard = HEARD.get_or_try_init(async || start_to_listen()).await;
        let heard =
            heard.map_err(|error| Failure::new(Kind::Fault, format!("Signals cannot be listened to: {error}")))?;
        Ok(Self { heard: heard.subscribe(), is_told: Cell::new(false) })
    }

    /// Whether a change was asked to stop. The person is told that it will.
    pub fn were_heard(&self) -> bool {
        let were_heard = *self.heard.borrow() > 0;
        if were_heard && !self.is_told.replace(true) {
            say("Stopping after what is under way. Once more stops at once.");
        }
        were_heard
    }

    /// Ends when a change was asked twice.
    pub async fn second(&self) {
        self.were_heard_times(1).await;
        self.were_heard();
        self.were_heard_times(2).await;
    }

    /// Ends when it was asked so often.
    pub async fn were_heard_times(&self, times: u32) {
        if self.heard.clone().wait_for(|number| *number >= times).await.is_err() {
            future::pending::<()>().await;
        }
    }
}

/// A hang-up is left alone: `nohup` has it ignored, and a handler would end that.
fn start_to_listen() -> io::Result<watch::Sender<u32>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (heard, _) = watch::channel(0);
    let signals = heard.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if signals.receiver_count() == 0 {
                std::process::exit(Kind::Interrupted as i32);
            }
            signals.send_modify(|number| *number += 1);
        }
    });
    Ok(heard)
}
