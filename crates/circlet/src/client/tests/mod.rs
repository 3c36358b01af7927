mod debug_output;
mod device;
mod kept_rows;
mod leak;
pub(crate) mod spy;
