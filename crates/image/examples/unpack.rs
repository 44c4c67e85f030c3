//! Measures reading layers: `unpack PLACE TARGET` verifies the image of PLACE, unpacks it to TARGET, and says what each took.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::path::Path;
use std::time::Instant;

use pinfold_base::report::Silent;
use pinfold_image::ImageSource;
use pinfold_image::trust::made;
use pinfold_image::unpack::Options;
use pinfold_image::unpack::unpack;
use pinfold_image::verify::verify;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, place, target] = &arguments[..] else { return Err("usage: unpack PLACE TARGET".into()) };
    let source = made(ImageSource::from_location(&place.parse()?)?);
    let start = Instant::now();
    let findings = verify(&source, &Silent)?.findings.len();
    println!("verify {:.3} s, {findings} findings", start.elapsed().as_secs_f64());
    for platform in source.platforms()?.into_keys() {
        let start = Instant::now();
        let report =
            unpack(&source, &source.image(platform)?, Path::new(target), &Options::default(), &Silent)?;
        println!(
            "unpack {:.3} s, {} entries, {} bytes",
            start.elapsed().as_secs_f64(),
            report.entries,
            report.bytes
        );
    }
    Ok(())
}
