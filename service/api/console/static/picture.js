// A picture in memory: read from a file, turned, mirrored, and written as the PNG that is sent.
//
// A quarter turn moves pixels and computes nothing. Any other angle is bilinear interpolation by at
// most 45 degrees and quarter turns after it, so that angles a quarter turn apart show the same
// pixels, moved. Angles are counterclockwise, as in the reports.

/** Longest side, in pixels, of what is turned. */
export const LARGEST = 512;

/**
 * Read what a browser can show; orientation and colour profile are the browser's to apply.
 * @param {Blob} file
 * @returns {Promise<{image: ImageData, width: number, height: number}>} with the file's own size
 */
export async function readPicture(file) {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  const sides = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const [context] = canvasOf(sides[0], sides[1]);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, sides[0], sides[1]);
  bitmap.close();
  return { image: context.getImageData(0, 0, sides[0], sides[1]), width, height };
}

/**
 * Mirror a picture left to right, if asked, and then turn it.
 * @param {ImageData} image
 * @param {number} degrees counterclockwise
 * @param {boolean} mirrored
 * @param {number} fill grey level of what lies outside
 * @returns {ImageData}
 */
export function turned(image, degrees, mirrored, fill) {
  const quarters = Math.round(degrees / 90);
  const rest = degrees - 90 * quarters;
  const base = mirrored ? mirror(image) : image;
  return quarter(rest ? rotate(base, rest, fill) : base, ((quarters % 4) + 4) % 4);
}

/**
 * Write a picture as PNG, without loss.
 * @param {ImageData} image
 * @returns {Promise<Blob>}
 */
export function toPng(image) {
  const [context, canvas] = canvasOf(image.width, image.height);
  context.putImageData(image, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob) resolve(blob);
      else reject(new Error("The browser could not write the picture as PNG."));
    }, "image/png");
  });
}

/**
 * Show a picture, pixel by pixel.
 * @param {HTMLCanvasElement} canvas
 * @param {ImageData} image
 */
export function show(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/**
 * @param {number} width
 * @param {number} height
 * @returns {[CanvasRenderingContext2D, HTMLCanvasElement]}
 */
function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("The browser has no canvas to draw on.");
  return [context, canvas];
}

/**
 * Build a picture from the place in another that each of its pixels comes from.
 * @param {ImageData} image
 * @param {number} width
 * @param {number} height
 * @param {(x: number, y: number) => number} source
 */
function permuted(image, width, height, source) {
  const made = new ImageData(width, height);
  const from = new Uint32Array(image.data.buffer);
  const to = new Uint32Array(made.data.buffer);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) to[y * width + x] = from[source(x, y)];
  }
  return made;
}

/** @param {ImageData} image */
function mirror(image) {
  const { width: w, height: h } = image;
  return permuted(image, w, h, (x, y) => y * w + w - 1 - x);
}

/**
 * @param {ImageData} image
 * @param {number} quarters counterclockwise, 0 to 3
 */
function quarter(image, quarters) {
  const { width: w, height: h } = image;
  switch (quarters) {
    case 1:
      return permuted(image, h, w, (x, y) => x * w + w - 1 - y);
    case 2:
      return permuted(image, w, h, (x, y) => (h - 1 - y) * w + w - 1 - x);
    case 3:
      return permuted(image, h, w, (x, y) => (h - 1 - x) * w + y);
    default:
      return image;
  }
}

/**
 * Rotate about the centre, by bilinear interpolation between pixels and the fill around them.
 * @param {ImageData} image
 * @param {number} degrees
 * @param {number} fill
 */
function rotate(image, degrees, fill) {
  const { width: w, height: h, data } = image;
  const made = new ImageData(w, h);
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const [cx, cy] = [(w - 1) / 2, (h - 1) / 2];
  /** @type {(x: number, y: number, channel: number) => number} */
  const at = (x, y, channel) =>
    x >= 0 && y >= 0 && x < w && y < h ? data[4 * (y * w + x) + channel] : channel === 3 ? 255 : fill;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const sx = cx + (x - cx) * cos - (y - cy) * sin;
      const sy = cy + (x - cx) * sin + (y - cy) * cos;
      const [left, top] = [Math.floor(sx), Math.floor(sy)];
      const [right, low] = [sx - left, sy - top];
      for (let channel = 0; channel < 4; channel++) {
        const above = at(left, top, channel) * (1 - right) + at(left + 1, top, channel) * right;
        const below = at(left, top + 1, channel) * (1 - right) + at(left + 1, top + 1, channel) * right;
        made.data[4 * (y * w + x) + channel] = above * (1 - low) + below * low;
      }
    }
  }
  return made;
}
