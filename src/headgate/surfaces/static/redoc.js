Redoc.init(
  "openapi.json",
  {
    expandResponses: "200",
    hideDownloadButton: false,
    jsonSampleExpandLevel: 4,
    requiredPropsFirst: true,
    sortTagsAlphabetically: false,
    theme: {
      typography: {
        fontFamily: "system-ui, sans-serif",
        headings: { fontFamily: "system-ui, sans-serif" },
      },
    },
  },
  document.getElementById("docs"),
);
