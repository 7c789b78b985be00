// aimock, an imitation of the vendors' APIs that others wrote, with the fixtures of a file. Prints its address.
import { LLMock } from "@copilotkit/aimock";

const mock = new LLMock({ port: 0 });
mock.loadFixtureFile(process.argv[2]);
await mock.start();
console.log(mock.url);
