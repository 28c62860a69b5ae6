//! The sizes that are told before rendering are those that rendering makes.

use std::io::Cursor;

use darkroom_container::{
    header::{self, HeaderLimits},
    upright,
};
use darkroom_model::{
    RenditionFormat,
    recipe::{Crop, Fit, Recipe, Resize, Rotation},
};
use darkroom_test_pictures as pictures;
use png::{BitDepth, ColorType};

use crate::rendered;

/// The name without its extension, the format and the size of every rendition: what is planned, and what is made of it.
fn assert_planned(source: &[u8], recipe: &Recipe) {
    let header = header::read(&mut Cursor::new(source), &HeaderLimits::default()).unwrap();
    let mut planned = Vec::new();
    for size in recipe.sizes(upright::size(source, &header), header.frames).unwrap() {
        planned
            .extend(size.formats.of_renditions().into_iter().map(|formats| (size.name.clone(), formats, size.size())));
    }
    let (_, renditions) = rendered::all(source, recipe).unwrap();
    assert_eq!(renditions.len(), planned.len(), "{recipe:?}");
    for (name, formats, size) in planned {
        let is_planned = |format: RenditionFormat| formats.contains(&format);
        let found =
            renditions.iter().find(|made| made.name == format!("{name}.{}", made.format) && is_planned(made.format));
        assert_eq!(found.map(|made| (made.width, made.height)), Some(size), "{name} {recipe:?} {header:?}");
    }
}

fn recipes() -> Vec<Recipe> {
    let side = |length: u32| length.try_into().ok();
    let resize = |fit| Resize { width: side(50), height: side(30), fit, ..Resize::default() };
    let crop = Crop { x: 10, y: 20, width: side(60).unwrap(), height: side(500).unwrap() };
    let turned = Resize { crop: Some(crop), rotate: Some(Rotation::Quarter), ..Resize::default() };
    let webp = Resize { format: Some(RenditionFormat::Webp), ..resize(Fit::Inside) };
    let mut resizes: Vec<_> = Fit::ALL.iter().map(|fit| resize(*fit)).collect();
    resizes.extend([turned, webp, Resize { enlarge: true, width: side(700), ..Resize::default() }]);
    std::iter::once(Recipe::Standard).chain(resizes.into_iter().map(Recipe::Resize)).collect()
}

#[test]
fn planned_sizes_follow_the_orientation_of_the_file() {
    let (width, height) = (400, 240);
    let rgba = [90, 20, 200, 255].repeat((width * height) as usize);
    let rgb = [90, 20, 200].repeat((width * height) as usize);
    for orientation in [1, 3, 6, 8] {
        let exif = pictures::exif(orientation, "x");
        let simple = pictures::webp(width, height, &rgba);
        let sources = [
            pictures::turned_jpeg(400, 240, orientation),
            pictures::png_with(width, height, ColorType::Rgb, BitDepth::Eight, &rgb, &[(*b"eXIf", exif.clone())]),
            pictures::webp_with(width, height, &simple, &[(*b"EXIF", exif)]),
        ];
        for source in sources {
            assert_planned(&source, &Recipe::Standard);
        }
    }
    for recipe in recipes() {
        assert_planned(&pictures::turned_jpeg(400, 240, 6), &recipe);
    }
}
