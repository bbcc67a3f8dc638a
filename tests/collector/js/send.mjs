// Sends one span, one gauge and one log record through the OpenTelemetry SDK for JavaScript.
//
//   node send.mjs json|proto|grpc URL SERVICE [TOKEN]     over gRPC the span alone

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [way, url, service, token] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${process.cwd()}/`)); // packages are installed outside of the source tree
const load = (name) => require(`@opentelemetry/${name}`);
const { diag, DiagConsoleLogger, DiagLogLevel } = load('api');
const { resourceFromAttributes } = load('resources');
const { BasicTracerProvider, BatchSpanProcessor } = load('sdk-trace-base');

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.ERROR);
const resource = resourceFromAttributes({ 'service.name': service });
const authorization = token ? { authorization: `Bearer ${token}` } : {};
const kind = { json: 'http', proto: 'proto', grpc: 'grpc' }[way];
const exporterOf = (signal, name) => {
  const options = { url: way === 'grpc' ? url : `${url}/v1/${signal}`, compression: 'gzip', headers: authorization };
  if (way === 'grpc') {
    delete options.headers;
    options.metadata = new (require('@grpc/grpc-js').Metadata)();
    Object.entries(authorization).forEach(([name, value]) => options.metadata.set(name, value));
  }
  const group = { traces: 'trace', metrics: 'metrics', logs: 'logs' }[signal];
  return new (load(`exporter-${group}-otlp-${kind}`)[name])(options);
};

const spans = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(exporterOf('traces', 'OTLPTraceExporter'))],
});
spans.getTracer('tests').startSpan('from-js', { kind: 2, attributes: { whole: 7, part: 0.5, text: 'grüezi' } }).end();
await spans.shutdown();

if (way !== 'grpc') {
  const { MeterProvider, PeriodicExportingMetricReader } = load('sdk-metrics');
  const exporter = exporterOf('metrics', 'OTLPMetricExporter');
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60000 });
  const meters = new MeterProvider({ resource, readers: [reader] });
  meters.getMeter('tests').createGauge('queue.depth').record(7);
  await meters.shutdown();

  const { LoggerProvider, BatchLogRecordProcessor } = load('sdk-logs');
  const processor = new BatchLogRecordProcessor({ exporter: exporterOf('logs', 'OTLPLogExporter') });
  const logs = new LoggerProvider({ resource, processors: [processor] });
  logs.getLogger('tests').emit({ severityNumber: 17, body: 'order 4711 failed' });
  await logs.shutdown();
}
