// Uses the generated types as a client would; check.sh compiles it.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const key = "dk_…";
const darkroom = createClient<paths>({
  baseUrl: "http://127.0.0.1:8000",
  headers: { Authorization: `Bearer ${key}` },
});

/** Uploads an image and resolves to its id. */
export async function upload(image: Blob, title: string): Promise<string> {
  const { data, error } = await darkroom.POST("/v1/images", {
    body: { file: "", title },
    bodySerializer: () => {
      const form = new FormData();
      form.append("file", image);
      form.append("title", title);
      return form;
    },
  });
  if (error) throw new Error(`${error.type}: ${error.detail} (at most ${error.limit_bytes} bytes)`);
  return data.id;
}

/** The URLs of an image's renditions, smallest first. */
export async function renditions(id: string): Promise<string[]> {
  const { data, error } = await darkroom.GET("/v1/images/{id}", { params: { path: { id } } });
  if (error) throw new Error(error.detail);
  return data.renditions.sort((a, b) => a.bytes - b.bytes).map((rendition) => rendition.url);
}
