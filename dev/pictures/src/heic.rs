//! HEIC: HEVC data of an encoder.

use crate::heif::{CodedPicture, Heif};

/// HEVC data of [`super::corners`] at 64 × 64 with its `hvcC` property, full range. Made by `pillow-heif` with libheif 1.23.6 and x265
/// 4.3: quality 95.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hevc {
    /// 8 bits, 4:2:0.
    Half,
    /// 8 bits, 4:2:2.
    HalfAcross,
    /// 8 bits, 4:4:4.
    Full,
    /// 8 bits, 4:0:0: the corners' luma, 76, 150, 29, 255.
    Gray,
    /// 10 bits, 4:4:4.
    Ten,
    /// An alpha plane: 255 in the left half, 128 in the upper right quarter, 0 in the lower right.
    Alpha,
}

impl Hevc {
    fn coded(self) -> CodedPicture {
        let (configuration, data) = match self {
            Self::Half => (
                "0103700000009000000000001ef000fcfdf8f800000f03600001001840010c01ffff03700000030090000003000003001eba0240610001002b420101\
                03700000030090000003000003001ea020810596ea4929ae6e021a0c0800000300c800000300084062000100074401c172b02240",
                "0000003f2801af06b863b0dcffd5723fffff0168fa1fef60e8d61b7ebea1dfff7f657fffecc478a3ebfb1e3a90ff28d43fffde9886ee5ff61486fffc\
                187eb1fba81440",
            ),
            Self::HalfAcross => (
                "0104080000009d38000000001ef000fcfef8f800000f03600001001740010c01ffff0408000003009d3800000300001eba0240610001002a42010104\
                08000003009d3800000300001eb020810596ea4929ae6e021a0c0800000300c800000300084062000100074401c172b02240",
                "000000412801af06b863d08da4ffa5c93ffffe02d1f43fdec1d3e2e1b7ebea1dfff7f657fffecc4795c3f5fd8f1d487f946a1fffef4c4431377fc76f\
                993fe5a55ac7eea051",
            ),
            Self::Full => (
                "0104080000009e38000000001ef000fcfff8f800000f03600001001740010c01ffff0408000003009e3800000300001eba0240610001002a42010104\
                08000003009e3800000300001e90041020b2dd492535cdc0434181000003001900000300010862000100084401c172860c0224",
                "0000003f2801af06b863b0dcffd5723fffff0168fa1fef60e8d61b7ebea1dfff7f657fffecc478a3ebfb1e3a90ff28d43fffde9886ee5ff61486fffc\
                187eb1fba81440",
            ),
            Self::Gray => (
                "0104080000009ff8000000001ef000fcfcf8f800000f03600001001740010c01ffff0408000003009ff800000300001eba0240610001002642010104\
                08000003009ff800000300001ec08204165ba924a6b9b0200000030320000003002162000100074401c172b02240",
                "0000001b2801ae0d707c2133ff041389313f8e895f83fe99e060d0fe9f1bb8",
            ),
            Self::Ten => (
                "0104080000009c38000000001ef000fcfffafa00000f03600001001740010c01ffff0408000003009c3800000300001eba0240610001002b42010104\
                08000003009c3800000300001e900410209b2dd492535cdc04341810000003019000000300108062000100084401c172860c0224",
                "0000003e2801af06b863b0dcffd5241fffff022efa1fef7cd0d61b7ebcdc7fff80287fffecd418a3ebfb229210ff29889fffdec7b7fe5ff61e13fff0\
                87eb1f8a4070",
            ),
            Self::Alpha => (
                "0104080000009ff8000000001ef000fcfcf8f800000f03600001001740010c01ffff0408000003009ff800000300001eba0240610001002642010104\
                08000003009ff800000300001ec08204165ba924a6b9b0200000030320000003002162000100074401c172b02240",
                "000000182801ae0d707c20e9ff9764e2589fee985828d7aff88398c0",
            ),
        };
        CodedPicture {
            item: *b"hvc1",
            property: *b"hvcC",
            size: (64, 64),
            configuration,
            data,
            nclx: ([1, 13, 6], true),
        }
    }
}

impl Heif {
    /// A HEIC with the colour property that the encoder wrote.
    #[must_use]
    pub fn heic(data: Hevc) -> Self {
        Self::new(b"heic\0\0\0\0mif1heic", data.coded(), Hevc::Alpha.coded())
    }
}
