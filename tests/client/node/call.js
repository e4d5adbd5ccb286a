// Calls a becausal server with the published protocol alone: node call.js PROTO_FOLDER ADDRESS
"use strict";

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protoFolder, address] = process.argv.slice(2);
const definition = loader.loadSync("becausal/v1/explanation_service.proto", {
  includeDirs: [protoFolder],
  enums: String,
  defaults: true,
});
const { ExplanationService } = grpc.loadPackageDefinition(definition).becausal.v1;
const becausal = new ExplanationService(address, grpc.credentials.createInsecure());

function call(method, request) {
  const deadline = new Date(Date.now() + 10000);
  return new Promise((resolve, reject) =>
    becausal[method](request, { deadline }, (error, response) => (error ? reject(error) : resolve(response))),
  );
}

async function main() {
  const history = ["a", "b", "c"];
  const explanation = await call("explain", { history, userId: "node" });
  const stored = await call("getExplanation", { name: explanation.name });
  const listed = await call("listExplanations", { filter: 'user_id = "node"' });
  const refused = await call("explain", { history: [] }).catch((error) => error);
  console.log(
    JSON.stringify({
      items: (await call("recommend", { history, k: 2 })).items.map((one) => one.item),
      status: explanation.status,
      reason: explanation.reason,
      causes: explanation.causes.map((cause) => [cause.title, cause.effect.rank]),
      stored: stored.reason === explanation.reason,
      listed: listed.explanations.length,
      code: grpc.status[refused.code],
      details: refused.details,
      rich: refused.metadata.get("grpc-status-details-bin")[0].includes("INVALID_FIELD"),
    }),
  );
  becausal.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
