//! The admin API. (Owner fills it in.)

use crate::http::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new()
}
