//! Renders pictures with the standard recipe and prints the size of each rendition:
//! `cargo run --release -p darkroom-pipeline --example render -- FILE… [--out DIR]`.

use std::{env, fs, path::PathBuf, time::Instant};

use darkroom_model::recipe::Recipe;
use darkroom_pipeline::{Limits, Rendered, render};

fn main() -> std::io::Result<()> {
    let mut files = Vec::new();
    let mut out = None;
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--out" {
            out = arguments.next().map(PathBuf::from);
        } else {
            files.push(PathBuf::from(argument));
        }
    }
    for file in files {
        let source = fs::read(&file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let start = Instant::now();
        let mut renditions: Vec<Rendered> = Vec::new();
        let result = render(&source, &Recipe::Standard, &Limits::default(), &mut |rendition| {
            renditions.push(rendition);
            Ok(())
        });
        let milliseconds = start.elapsed().as_millis();
        match result {
            Err(error) => println!("{name}: {:?} {error}", error.failure()),
            Ok(analysis) => {
                println!(
                    "{name}: {} bytes, {milliseconds} ms, placeholder {} bytes",
                    source.len(),
                    analysis.placeholder.len()
                );
                for Rendered { name: rendition, width, height, bytes, .. } in renditions {
                    println!("    {rendition} {width}x{height} {} bytes", bytes.len());
                    if let Some(out) = &out {
                        fs::create_dir_all(out)?;
                        fs::write(out.join(format!("{name}.{rendition}")), bytes)?;
                    }
                }
            }
        }
    }
    Ok(())
}
