//! Hears what other connections announce with NOTIFY. Hints only: whoever listens also looks by itself.

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::{Store, StoreError};

/// A connection of its own that hears some channels.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
}

/// What a [`Listener`] heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An announcement.
    Said {
        /// The channel.
        channel: String,
        /// What it is about.
        payload: String,
    },
    /// The connection was lost and is back: anything may have been missed meanwhile.
    Gap,
}

impl Store {
    /// Listens on these channels.
    pub async fn listen(&self, channels: &[&str]) -> Result<Listener, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(self.options().clone())
            .await
            .map_err(StoreError::in_call("listen"))?;
        let mut inner =
            PgListener::connect_with(&pool).await.map_err(StoreError::in_call("listen"))?;
        inner.listen_all(channels.iter().copied()).await.map_err(StoreError::in_call("listen"))?;
        Ok(Listener { inner })
    }
}

impl Listener {
    /// Waits for the next announcement. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<Heard, StoreError> {
        let heard = self.inner.try_recv().await.map_err(StoreError::in_call("listen_next"))?;
        Ok(match heard {
            Some(said) => Heard::Said {
                channel: said.channel().to_owned(),
                payload: said.payload().to_owned(),
            },
            None => Heard::Gap,
        })
    }
}
