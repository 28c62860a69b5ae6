//! SSIMULACRA2 of pairs of pictures. Reads lines `width height reference picture` from stdin, where the last two are files
//! of raw 8-bit sRGB; answers each with a line: the score.

use std::{error::Error, fs, io};

use fast_ssim2::{PixelDescriptor, PixelSlice, compute_ssimulacra2};

fn main() -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lines() {
        let line = line?;
        let mut words = line.split('\t');
        let mut word = || words.next().ok_or("a line of four words");
        let (width, height): (u32, u32) = (word()?.parse()?, word()?.parse()?);
        let (reference, picture) = (fs::read(word()?)?, fs::read(word()?)?);
        let rgb = |bytes| PixelSlice::new(bytes, width, height, width as usize * 3, PixelDescriptor::RGB8_SRGB);
        println!("{}", compute_ssimulacra2(&rgb(&reference)?, &rgb(&picture)?)?);
    }
    Ok(())
}
