//! Compiles the `.proto` files with protox: no `protoc` on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["orgtrail/v1/ingest.proto"], ["."])?;
    println!("cargo:rerun-if-changed=orgtrail");
    // Bytes, so that an object's payload is a slice of the received frame and not a copy of it.
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
