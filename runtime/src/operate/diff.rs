//! `topology diff`: what differs.

use std::process::ExitCode;

use super::{DIFFERENT, Failure, console::Console};
use crate::service::Site;

pub(super) async fn diff(site: &Site, console: &Console) -> Result<ExitCode, Failure> {
    let comparison = site.compare().await?;
    console.tell(&comparison, &comparison)?;
    Ok(if comparison.is_equal() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}
