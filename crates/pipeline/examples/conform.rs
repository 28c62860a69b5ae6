//! Renders a picture for a comparison with other decoders: losslessly as PNG, at its own size or `WIDTH` pixels wide, and prints
//! what became of it as JSON: `conform FILE OUT.png [WIDTH]`.

use std::{env, fs, io::Error, num::NonZeroU32};

use darkroom_model::{
    RenditionFormat,
    recipe::{Quality, Recipe, Resize},
};
use darkroom_pipeline::{Limits, render};
use serde_json::json;

fn main() -> std::io::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let (Some(file), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err(Error::other("usage: conform FILE OUT.png [WIDTH]"));
    };
    let width = arguments.next().and_then(|width| width.to_str()?.parse::<NonZeroU32>().ok());
    let format = Some(RenditionFormat::Png);
    let recipe = Recipe::Resize(Resize { width, format, quality: Quality::MAX, ..Resize::default() });
    let mut rendition = None;
    let result = render(&fs::read(file)?, &recipe, &Limits::default(), &mut |rendered| {
        rendition = Some(rendered);
        Ok(())
    });
    let report = match (result, rendition) {
        (Ok(_), Some(rendition)) => {
            fs::write(out, &rendition.bytes)?;
            json!({ "width": rendition.width, "height": rendition.height })
        }
        (Ok(_), None) => json!({ "error": "no rendition" }),
        (Err(error), _) => match error.failure() {
            Some(failure) => json!({ "code": failure.code, "detail": failure.detail }),
            None => json!({ "error": error.to_string() }),
        },
    };
    println!("{report}");
    Ok(())
}
