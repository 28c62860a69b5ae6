//! Writes the pictures, frames and forms that fuzzing starts with, one folder a target: `seeds DIR`. `make fuzz` calls it.
#![allow(clippy::unwrap_used, reason = "the included test pictures unwrap")]

#[path = "../../crates/pipeline/tests/pipeline/seeds.rs"]
mod seeds;

use std::{env, fs, io::Cursor, path::Path};

use darkroom_container::header::{self, HeaderLimits};
use darkroom_model::ImageAnalysis;
use darkroom_worker::sandbox::protocol::{self, Reply};

/// Upload forms with the boundary `x`, and values of the header `Content-Type`.
const FORMS: [&str; 6] = [
    "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\na title\r\n\
     --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\
     \x7fPNG\r\n--\r\n--x--\r\n",
    "preamble\r\n--x \t\r\nContent-Disposition: form-data; filename*=UTF-8''%e2%82%ac; name=file\r\n\r\n\r\n--x--epilogue",
    "--x\r\ncontent-disposition: form-data; name=\"a\\\"b\\\\\"; filename=\"caf\u{e9} %22.jpg\"\r\n\r\n\r\n--\r\n--x-\r\n--x--",
    "--x--",
    "multipart/form-data; boundary=x",
    "multipart/form-data; charset=utf-8; boundary=\"a b'()+_,-./:=?\"",
];

fn main() -> anyhow::Result<()> {
    let root = env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("seeds DIR"))?;
    let save = |target: &str, number: usize, bytes: &[u8]| {
        let dir = Path::new(&root).join(target);
        fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join(format!("seed-{number}")), bytes))
    };
    for (number, picture) in seeds::pictures().iter().enumerate() {
        let header = header::read(&mut Cursor::new(picture), &HeaderLimits::default())?;
        save(header.format.as_str(), number, picture)?;
        save("header", number, picture)?;
        let mut frame = Vec::new();
        let (width, height) = (header.width, header.height);
        let format = darkroom_model::RenditionFormat::Jpeg;
        protocol::write(
            &mut frame,
            &Reply::Rendition { name: "full.jpeg".to_owned(), format, width, height },
            picture,
        )?;
        save("frame", number, &frame)?;
        let placeholder = vec![0; 25];
        let analysis = ImageAnalysis { placeholder, dominant_colour: [1, 2, 3], perceptual_hash: 4 };
        protocol::write(&mut frame, &Reply::Done(analysis), &[])?;
        save("conversation", number, &frame)?;
    }
    for (number, form) in FORMS.iter().enumerate() {
        // The length of the chunks, and the form.
        save("multipart", number, &[&[7], form.as_bytes()].concat())?;
    }
    Ok(())
}
